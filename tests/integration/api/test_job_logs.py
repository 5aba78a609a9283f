"""Logs of jobs over HTTP."""

from uuid import uuid4

import pytest

from callsheet.domain.model import Model
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs, operation
from callsheet.testing.operations import ALL

from .conftest import messages_of


class Lines(Model):
    number: int = 1


@operation("print-lines", queue="test")
async def print_lines(job: Context, params: Lines) -> Lines:
    for number in range(params.number):
        print(f"line {number}")
    return params


@operation("print-in-child", queue="test")
async def print_in_child(job: Context, params: Lines) -> Lines:
    if not job.children_done:
        raise RunChildJobs([ChildJob("part", "print-lines", {"number": 1})])
    return params


@pytest.fixture
def catalog():
    return Catalog([*ALL, print_lines, print_in_child])


async def test_the_log_of_an_execution_is_read_in_pages(working):
    execution_id = await working.submit(("a", "print-lines", {"number": 5}))
    await working.ended(execution_id)
    path = f"/api/executions/{execution_id}/logs"

    first = (await working.client.get(path, params={"limit": 3})).json()
    second = (await working.client.get(path, params={"limit": 3, "after": first["nextAfter"]})).json()

    assert [line["message"] for line in first["logs"] + second["logs"]] == [f"line {n}" for n in range(5)]
    assert (first["ended"], second["ended"]) == (False, True)
    line = first["logs"][0]
    assert set(line) == {"jobId", "attempt", "at", "level", "logger", "message"}
    assert (line["jobId"], line["attempt"], line["level"], line["logger"]) == ("a", 1, "info", "stdout")


async def test_the_log_of_one_job_is_found_by_its_id_in_the_plan_also_of_a_child_job(working):
    execution_id = await working.submit(("a", "print-lines", {"number": 2}), ("b", "print-in-child", {}))
    await working.ended(execution_id)
    jobs = f"/api/executions/{execution_id}/jobs"

    assert len((await working.client.get(f"{jobs}/a/logs")).json()["logs"]) == 2
    for child in ("b/part", "b%2Fpart"):
        (line,) = (await working.client.get(f"{jobs}/{child}/logs")).json()["logs"]
        assert line["jobId"] == "b/part"


async def test_a_followed_log_ends_with_its_job_and_resumes_after_the_last_event_id(working):
    execution_id = await working.submit(("a", "print-lines", {"number": 3}))
    path = f"/api/executions/{execution_id}/logs?follow=true"

    async with working.client.stream("GET", path) as response:
        seen = [message async for message in messages_of(response)]
    async with working.client.stream("GET", path, headers={"Last-Event-ID": str(seen[0].id)}) as response:
        rest = [message.data["message"] async for message in messages_of(response)]
    after = await working.client.get(path, headers={"Last-Event-ID": str(seen[-1].id)})

    assert [message.data["message"] for message in seen] == ["line 0", "line 1", "line 2"]
    assert {message.event for message in seen} == {"job.log"}
    assert rest == ["line 1", "line 2"]
    assert after.status_code == 204


async def test_the_log_of_an_unknown_execution_or_job_is_a_404(working):
    execution_id = await working.submit(("a", "noop", {}))

    assert (await working.client.get(f"/api/executions/{uuid4()}/logs")).status_code == 404
    response = await working.client.get(f"/api/executions/{execution_id}/jobs/b/logs")
    assert response.status_code == 404
    assert "has no job 'b'" in response.json()["detail"]
    assert (await working.client.get(f"/api/executions/{execution_id}/jobs/a%00b/logs")).status_code == 404
