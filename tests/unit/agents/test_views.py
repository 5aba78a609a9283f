"""What an agent reads about large executions is bounded."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from callsheet.agents.plans import plan_data
from callsheet.agents.views import execution_view, results_view
from callsheet.domain.errors import PlanRefused
from callsheet.domain.records import Execution, Job

ID = UUID("019ab1f0-0000-7000-8000-000000000001")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def job(job_id, status, result=None):
    return Job(
        id=ID,
        execution_id=ID,
        job_id=job_id,
        operation="noop",
        queue="test",
        status=status,
        priority=0,
        progress=1,
        params={},
        result=result,
        continue_on_failure=False,
        attempts=0,
        max_attempts=1,
        timeout=60,
        created_at=AT,
        actions=[],
    )


def execution(*jobs):
    return Execution(
        execution_id=ID,
        status="failed",
        progress=1,
        job_counts={},
        created_at=AT,
        finished_at=AT,
        actions=["retry"],
        last_event=1,
        jobs=list(jobs),
        artifacts=[],
    )


def test_of_many_jobs_the_unsuccessful_ones_are_listed_first():
    jobs = [job(f"ok-{number}", "succeeded") for number in range(500)] + [job("bad", "failed")]

    view = execution_view(execution(*jobs))

    assert (len(view.jobs), view.jobs[0].job_id, view.jobs_left_out) == (50, "bad", 451)


def test_long_results_are_left_out_and_named():
    jobs = [job("long", "succeeded", {"text": "x" * 5_000}), job("short", "succeeded", {"n": 1}), job("bad", "failed")]
    jobs += [job(f"page-{number}", "succeeded", "x" * 3_900) for number in range(6)]

    view = results_view(execution(*jobs), None)

    assert [*view.results] == ["short", "page-0", "page-1", "page-2", "page-3", "page-4"]
    assert view.results_left_out == ["long", "page-5"]


def test_results_of_a_job_include_those_of_its_child_jobs():
    found = results_view(execution(*(job(name, "succeeded", 1) for name in ("film", "film/part-1", "film-2"))), "film")

    assert [*found.results] == ["film", "film/part-1"]


@pytest.mark.parametrize("text", ["/etc/passwd", "[1, 2]", "7", ""])
def test_a_text_that_is_not_a_plan_is_refused(text):
    with pytest.raises(PlanRefused, match="must be an object"):
        plan_data(text)
