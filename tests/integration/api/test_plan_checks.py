"""The API checks a plan once, and names every problem by its path in the request body."""

import pytest
from pydantic import field_validator

from callsheet.domain.model import Model
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import operation

from .conftest import codes

validated = []


class CountedParams(Model):
    name: str = ""

    @field_validator("name")
    @classmethod
    def _count(cls, name):
        validated.append(name)
        return name


@operation("counted", queue="test")
async def counted(job, params: CountedParams) -> CountedParams:
    """Return the params."""
    return params


@pytest.fixture
def catalog():
    return Catalog([counted])


@pytest.fixture(autouse=True)
def _reset():
    validated.clear()


JOBS = [{"id": "a", "operation": "counted", "params": {"name": "a"}}]


@pytest.mark.parametrize("around", [{}, {"callbackUrl": "https://10.0.0.1/"}])
async def test_a_plan_is_checked_once(api, around):
    await api.client.post("/api/executions", json={"executionPlan": {"jobs": JOBS}, **around})

    assert validated == ["a"]


async def test_problems_are_named_by_their_path_in_the_body(api):
    body = {
        "executionPlan": {"name": "nul \0 inside", "jobs": JOBS},
        "callbackUrl": "https://example.com/",
    }

    response = await api.client.post("/api/executions", json=body)

    assert codes(response) == {("executionPlan.name", "nul_character")}


async def test_problems_of_the_callback_and_of_the_plan_are_reported_together(api):
    body = {
        "executionPlan": {"jobs": [*JOBS, {"id": "a", "operation": "counted"}]},
        "callbackUrl": "https://10.0.0.1/",
    }

    response = await api.client.post("/api/executions", json=body)

    assert codes(response) == {("callbackUrl", "private_address"), ("executionPlan.jobs[1].id", "duplicate_id")}
