"""Lists of jobs and artifacts over all executions."""

from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain.ids import new_id

from .commands import command, command_json


async def listed(api, path="jobs", **query):
    response = await api.client.get(f"/api/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()[path]


async def names(api, path="jobs", **query):
    return [each["jobId"] for each in await listed(api, path, **query)]


@pytest.fixture
async def mixed(working):
    """A server with ended and waiting jobs of two operations."""
    first = await working.submit(("a", "noop", {}), ("b", "fail", {"message": "the lamp is out"}))
    await working.ended(first)
    await working.client.patch("/api/queues/test", json={"paused": True})
    plan = {"jobs": [{"id": "c", "operation": "noop"}, {"id": "d", "operation": "noop", "dependsOn": ["c"]}]}
    second = (await working.client.post("/api/executions", json=plan)).json()["executionId"]
    later = {"jobs": [{"id": "e", "operation": "noop", "startAt": "2999-01-01T00:00:00Z"}]}
    await working.client.post("/api/executions", json=later)
    working.executions = [first, second]
    return working


async def test_jobs_are_listed_newest_first_and_by_every_filter(mixed):
    first, second = mixed.executions
    code = (await listed(mixed, status="failed"))[0]["error"]["code"]

    assert await names(mixed) == ["e", "d", "c", "b", "a"]
    assert await names(mixed, operation="fail") == ["b"]
    assert await names(mixed, status=["succeeded", "pending"]) == ["d", "a"]
    assert await names(mixed, status="queued") == ["c"]
    assert await names(mixed, status="scheduled") == ["e"]
    assert await names(mixed, queue="test") == ["e", "d", "c", "b", "a"]
    assert await names(mixed, queue="render") == []
    assert await names(mixed, errorCode=code) == ["b"]
    assert await names(mixed, errorCode=code, status="succeeded") == []
    assert await names(mixed, execution=second) == ["d", "c"]
    assert await names(mixed, execution=first, errorCode=code) == ["b"]
    assert await names(mixed, execution=str(new_id())) == []
    now = datetime.now(UTC)
    assert await names(mixed, createdAfter=(now - timedelta(minutes=5)).isoformat()) == ["e", "d", "c", "b", "a"]
    assert await names(mixed, createdBefore=(now - timedelta(minutes=5)).isoformat()) == []
    assert await names(mixed, createdAfter="2999-01-01T00:00:00Z", status="queued") == []


async def test_listed_jobs_say_why_they_wait_or_failed_and_what_can_be_done(mixed):
    later, waiting, queued, failed, _ = await listed(mixed)

    assert later["waitReason"]["code"] == "start_time"
    assert (waiting["waitReason"]["code"], waiting["waitReason"]["facts"]["jobs"]) == ("dependencies", ["c"])
    assert (queued["waitReason"]["code"], queued["actions"]) == ("queue_paused", ["cancel"])
    assert "hold" in queued["moves"]
    assert "the lamp is out" in failed["error"]["message"] and failed["actions"] == ["retry"]
    assert "params" not in failed and "traceback" not in failed["error"]


async def test_pages_of_jobs_have_each_job_once(mixed):
    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await mixed.client.get("/api/jobs", params=query)).json()
        found += [job["jobId"] for job in page["jobs"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break

    assert found == ["e", "d", "c", "b", "a"]
    assert (await mixed.client.get("/api/jobs", params={"cursor": "x"})).status_code == 400
    assert (await mixed.client.get("/api/jobs", params={"status": "done"})).status_code == 422


async def test_artifacts_are_listed_by_kind_name_execution_and_time(working):
    first = await working.submit(("a", "write", {"name": "film.txt", "text": "x"}))
    await working.ended(first)
    second = await working.submit(("b", "write", {"name": "poster.png", "text": "x"}))
    await working.ended(second)

    assert await names(working, "artifacts") == ["b", "a"]
    assert await names(working, "artifacts", name="film.txt") == ["a"]
    assert await names(working, "artifacts", kind="image") == ["b"]
    assert await names(working, "artifacts", kind="video") == []
    assert await names(working, "artifacts", execution=first) == ["a"]
    assert await names(working, "artifacts", createdBefore="2020-01-01T00:00:00Z") == []
    assert [a["url"] for a in await listed(working, "artifacts")] != [None, None]
    page = (await working.client.get("/api/artifacts", params={"limit": 1})).json()
    assert await names(working, "artifacts", cursor=page["nextCursor"]) == ["a"]


async def test_the_commands_list_jobs_and_files(mixed):
    text = (await command(mixed, "jobs", "list", "--status", "failed", "--since", "1h")).stdout
    page = await command_json(mixed, "jobs", "list", "--limit", "2")
    more = await command(mixed, "jobs", "list", "--limit", "2")
    files = await command_json(mixed, "artifacts", "--kind", "video")
    wrong = await command(mixed, "artifacts", "--job", "a", status=2)

    assert "the lamp is out" in text and "queued" not in text
    assert [job["jobId"] for job in page["jobs"]] == ["e", "d"]
    assert f"--cursor {page['nextCursor']}" in more.stderr
    assert files == {"artifacts": [], "nextCursor": None}
    assert "needs an execution" in wrong.stderr
