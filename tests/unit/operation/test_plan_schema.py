"""The JSON Schema of plans, as an editor would use it."""

from enum import StrEnum
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.operation.catalog import Catalog, discover
from callsheet.operation.contract import operation
from callsheet.operation.plan_schema import plan_schema


class Fit(StrEnum):
    COVER = "cover"
    CONTAIN = "contain"


class Title(Model):
    kind: Literal["title"]
    text: str = Field(max_length=5)


class Clip(Model):
    kind: Literal["clip"]
    src: MediaSource
    start_at: float = 0


class Params(Model):
    width: int = Field(ge=1, description="Pixels")
    fit: Fit = Fit.COVER
    scenes: list[Annotated[Title | Clip, Field(discriminator="kind")]] = Field(default_factory=list)
    labels: dict[str, int] = Field(default_factory=dict)


class Nothing(BaseModel):
    pass


@operation("cut", aliases=("cut_video",))
async def cut(job, params: Params) -> Nothing:
    """Cut a film."""


@operation("rest")
async def rest(job, params: Nothing) -> Nothing:
    """Do nothing."""


SCHEMA = plan_schema(Catalog([cut, rest]))


def problems(params, operation="cut", **more):
    job = {"id": "a", "operation": operation, "params": params, **more}
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors({"jobs": [job]}))


def test_it_is_a_schema_itself():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(plan_schema(discover()))


@pytest.mark.parametrize(
    "params",
    [
        {"width": 3},
        {"width": "${b.size.width}", "fit": "${b.fit}"},
        {"width": 3, "scenes": "${b.scenes}"},
        {"width": 3, "scenes": ["${b.scene}", {"kind": "title", "text": "hey"}]},
        {"width": 3, "scenes": [{"kind": "title", "text": "a longer ${b.text}"}]},
        {"width": 3, "scenes": [{"kind": "clip", "src": "${b.video}", "startAt": "${b.at[0]}"}]},
        {"width": 3, "labels": {"x": 1, "y": "${b.y}"}},
    ],
)
def test_references_may_stand_wherever_a_value_may(params):
    assert problems(params) == []


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"width": "3 px"},
        {"width": 0},
        {"width": 3, "fit": "stretch"},
        {"width": 3, "widht": 3},
        {"width": 3, "scenes": [{"kind": "title", "text": "too long"}]},
        {"width": 3, "scenes": [{"kind": "song"}]},
        {"width": 3, "labels": {"x": "y"}},
    ],
)
def test_params_are_those_of_the_operation_that_is_named(params):
    assert problems(params)


def test_an_alias_is_as_good_as_the_name():
    assert problems({"width": 3}, operation="cut_video") == []
    assert problems({}, operation="cut_video")


def test_an_operation_that_nobody_knows_is_marked():
    assert problems({}, operation="cutt")


def test_params_may_be_left_out_where_none_are_needed():
    validator = jsonschema.Draft202012Validator(SCHEMA)

    assert validator.is_valid({"jobs": [{"id": "a", "operation": "rest"}]})
    assert not validator.is_valid({"jobs": [{"id": "a", "operation": "cut"}]})


def test_a_whole_submission_fits_as_a_bare_plan_does():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    plan = {"$schema": "./plan.schema.json", "name": "x", "jobs": [{"id": "a", "operation": "rest"}]}

    assert validator.is_valid(plan)
    assert validator.is_valid({"executionPlan": plan, "metadata": {"any": 1}, "priority": 3})
    assert not validator.is_valid({"executionPlan": plan, "metadta": {}})
    assert not validator.is_valid({})


def test_editors_find_descriptions_where_they_look_for_them():
    width = SCHEMA["$defs"]["Params"]["properties"]["width"]

    assert width["description"] == "Pixels"
    names = SCHEMA["$defs"]["PlannedJob"]["properties"]["operation"]["oneOf"]
    assert {"const": "cut", "description": "Cut a film."} in names
