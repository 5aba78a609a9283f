"""The JSON Schema of plans, as editors use it."""

from enum import StrEnum
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.operation_api.catalog import Catalog, discover
from callsheet.operation_api.contract import operation
from callsheet.operation_api.plan_schema import plan_schema


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
    """Cut a video."""


@operation("rest")
async def rest(job, params: Nothing) -> Nothing:
    """Do nothing."""


SCHEMA = plan_schema(Catalog([cut, rest]))


def problems(params, operation="cut", **more):
    job = {"id": "a", "operation": operation, "params": params, **more}
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors({"jobs": [job]}))


def test_the_schema_is_valid():
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
def test_a_reference_is_accepted_in_place_of_any_value(params):
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
def test_invalid_params_are_rejected(params):
    assert problems(params)


def test_an_alias_is_validated_like_the_name():
    assert problems({"width": 3}, operation="cut_video") == []
    assert problems({}, operation="cut_video")


def test_an_unknown_operation_is_rejected():
    assert problems({}, operation="cutt")


def test_params_are_optional_for_operations_without_required_params():
    validator = jsonschema.Draft202012Validator(SCHEMA)

    assert validator.is_valid({"jobs": [{"id": "a", "operation": "rest"}]})
    assert not validator.is_valid({"jobs": [{"id": "a", "operation": "cut"}]})


def test_a_submission_and_a_plan_are_both_accepted():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    plan = {"$schema": "./plan.schema.json", "name": "x", "jobs": [{"id": "a", "operation": "rest"}]}

    assert validator.is_valid(plan)
    assert validator.is_valid({"executionPlan": plan, "metadata": {"any": 1}, "priority": 3})
    assert not validator.is_valid({"executionPlan": plan, "metadta": {}})
    assert not validator.is_valid({})


def test_descriptions_are_placed_where_editors_look_for_them():
    width = SCHEMA["$defs"]["Params"]["properties"]["width"]

    assert width["description"] == "Pixels"
    names = SCHEMA["$defs"]["PlannedJob"]["properties"]["operation"]["oneOf"]
    assert {"const": "cut", "description": "Cut a video."} in names
