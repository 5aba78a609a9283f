"""A plan is checked once per submission, and a large plan does not block the event loop."""

import asyncio
import time

import pytest
from plans import job, plan
from pydantic import field_validator

from callsheet import arun
from callsheet.domain.errors import PlanRefused, Problem
from callsheet.domain.model import Model
from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs.submit import submit
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import operation
from callsheet.testing.operations import noop

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


@pytest.fixture(autouse=True)
def _reset():
    validated.clear()


COUNTED = {"id": "a", "operation": "counted", "params": {"name": "a"}}
UNKNOWN = {"id": "b", "operation": "no-such-operation"}


async def test_a_local_run_checks_a_plan_once(settings):
    with pytest.raises(PlanRefused, match=r"jobs\[1\]\.operation"):
        await arun({"jobs": [COUNTED, UNKNOWN]}, operations=[counted], settings=settings)

    assert validated == ["a"]


async def test_a_local_run_validates_params_before_the_database_starts_and_for_the_run(settings):
    execution = await arun({"jobs": [COUNTED]}, operations=[counted], settings=settings)

    assert execution.status == "succeeded"
    assert validated == ["a", "a"]


async def test_problems_of_the_caller_are_reported_with_those_of_the_plan():
    submission = read_submission({"executionPlan": {"jobs": [COUNTED, UNKNOWN]}})

    with pytest.raises(PlanRefused) as refused:
        await submit(
            None, submission, Catalog([counted]), max_jobs=9, other_problems=[Problem("callbackUrl", "bad_url", "no")]
        )

    assert [problem.path for problem in refused.value.problems] == ["callbackUrl", "jobs[1].operation"]
    assert validated == ["a"]


async def test_problems_of_the_caller_alone_refuse_a_valid_plan():
    submission = read_submission({"executionPlan": {"jobs": [COUNTED]}})

    with pytest.raises(PlanRefused, match="callbackUrl"):
        await submit(
            None, submission, Catalog([counted]), max_jobs=9, other_problems=[Problem("callbackUrl", "bad_url", "no")]
        )


async def test_nothing_runs_before_the_insert_of_a_refused_plan():
    submission = read_submission({"executionPlan": {"jobs": [UNKNOWN]}})

    with pytest.raises(PlanRefused):
        await submit(None, submission, Catalog([counted]), max_jobs=9, before_insert=pytest.fail)


async def test_the_check_of_10_000_jobs_does_not_block_the_event_loop():
    jobs = [*(job(f"a{n}") for n in range(9_999)), UNKNOWN]
    submission = read_submission({"executionPlan": plan(*jobs)})
    longest = 0.0

    async def measure_turns():
        nonlocal longest
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()

    measuring = asyncio.create_task(measure_turns())
    await asyncio.sleep(0)
    started = time.monotonic()
    with pytest.raises(PlanRefused, match="no-such-operation"):
        await submit(None, submission, Catalog([noop]), max_jobs=10_000)
    seconds = time.monotonic() - started
    measuring.cancel()

    # On the loop, the check would be one turn.
    assert longest < seconds / 2
