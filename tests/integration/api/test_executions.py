"""Submitting, reading, listing, cancelling and retrying executions."""

import asyncio

import pytest

from .conftest import codes

YAML = """
executionPlan:
  name: From YAML
  jobs:
    - id: a
      operation: noop
      params: {value: 1}
    - {id: b, operation: noop, params: {value: "${a.value}"}}
"""


async def test_a_plan_is_accepted_with_the_place_where_it_is_read(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}, "metadata": {"order": 7}}

    answer = await api.client.post("/api/execute", json=body)

    receipt = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/executions/{receipt['executionId']}"
    assert [(job["jobId"], job["operation"], job["status"]) for job in receipt["jobs"]] == [("a", "noop", "queued")]
    execution = (await api.client.get(answer.headers["location"])).json()
    assert execution["metadata"] == {"order": 7}
    assert execution["actions"] == ["cancel"]


async def test_a_plan_in_yaml_and_one_in_snake_case_do_as_well(working):
    yaml = await working.client.post("/api/execute", content=YAML, headers={"Content-Type": "application/yaml"})
    snake = await working.client.post(
        "/api/execute", json={"execution_plan": {"jobs": [{"id": "a", "operation": "noop", "depends_on": []}]}}
    )

    assert snake.status_code == 202
    execution = await working.ended(yaml.json()["executionId"])
    assert execution["name"] == "From YAML"
    assert execution["jobs"][1]["result"] == {"value": 1}


async def test_every_problem_of_a_plan_is_told_at_once_and_nothing_is_stored(api):
    body = {
        "executionPlan": {
            "jobs": [
                {"id": "a", "operation": "nop"},
                {"id": "a", "operation": "sleep", "params": {"seconds": "long"}},
                {"id": "c", "operation": "noop", "params": {"value": "${x.y}"}, "dependsOn": ["z"]},
                {"id": "e", "operation": "noop", "dependsOn": ["f"]},
                {"id": "f", "operation": "noop", "dependsOn": ["e"]},
            ]
        },
        "callbackUrl": "https://ada:secret@example.com/",
    }

    answer = await api.client.post("/api/execute", json=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "plan_refused"
    assert codes(answer) >= {
        ("callbackUrl", "credentials_in_url"),
        ("executionPlan.jobs[0].operation", "unknown_operation"),
        ("executionPlan.jobs[1].id", "duplicate_id"),
        ("executionPlan.jobs[2].dependsOn[0]", "unknown_job"),
        ("executionPlan.jobs[2].params.value", "unknown_job"),
        ("executionPlan.jobs", "cycle"),
    }
    assert "secret" not in answer.text
    assert (await api.client.get("/api/executions")).json() == {"executions": [], "nextCursor": None}


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"", "application/json", 422, "plan_refused"),
        (b'{"a": ', "application/json", 422, "plan_refused"),
        (b'{"a": 1, "a": 2}', "application/json", 422, "plan_refused"),
        (b"a: [1\nb: 2", "application/yaml", 422, "plan_refused"),
        (b"\xff\xfe", "application/json", 422, "plan_refused"),
        (b"a,b", "text/csv", 415, "unsupported_media_type"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(api, content, kind, status, code):
    answer = await api.client.post("/api/execute", content=content, headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_same_key_gives_the_same_execution_however_many_ask_at_once(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}}

    answers = await asyncio.gather(
        *(api.client.post("/api/execute", json=body, headers={"Idempotency-Key": "order-1"}) for _ in range(8))
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in answers].count("true") == 7


async def test_a_key_with_another_body_is_refused(api):
    for name in ("a", "b"):
        answer = await api.client.post(
            "/api/execute",
            json={"executionPlan": {"jobs": [{"id": name, "operation": "noop"}]}},
            headers={"Idempotency-Key": "order-1"},
        )

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")


async def test_pages_show_each_execution_once_while_new_ones_arrive(api):
    submitted = [await api.submit(("a", "noop", {})) for _ in range(5)]

    first = (await api.client.get("/api/executions", params={"limit": 2})).json()
    await api.submit(("late", "noop", {}))
    seen, cursor = [e["executionId"] for e in first["executions"]], first["nextCursor"]
    while cursor:
        page = (await api.client.get("/api/executions", params={"limit": 2, "cursor": cursor})).json()
        seen, cursor = seen + [e["executionId"] for e in page["executions"]], page["nextCursor"]

    assert seen == submitted[::-1]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "A" * 38, "é"])
async def test_a_forged_cursor_is_refused(api, cursor):
    answer = await api.client.get("/api/executions", params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_lists_are_filtered_by_status_search_and_time(working):
    done = await working.submit(("a", "noop", {}), metadata={"film": "Metropolis"})
    await working.ended(done)
    failed = await working.submit(("a", "fail", {}))
    await working.ended(failed)

    async def ids(**params):
        answer = await working.client.get("/api/executions", params=params)
        return [execution["executionId"] for execution in answer.json()["executions"]]

    assert await ids(status=["failed", "cancelled"]) == [failed]
    assert await ids(search="metropolis") == [done]
    assert await ids(search=failed) == [failed]
    assert await ids(createdAfter="2999-01-01T00:00:00Z") == []
    assert await ids(createdAfter="2020-01-01T00:00:00") == [failed, done]


async def test_the_older_address_of_an_execution_shows_the_same(api):
    execution_id = await api.submit(("a", "noop", {}))

    older, newer = [(await api.client.get(f"/api/{way}/{execution_id}")).json() for way in ("status", "executions")]

    assert older == newer


@pytest.mark.parametrize("name", ["nonsense", "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("noun", ["executions", "jobs", "artifacts", "status", "operations"])
async def test_what_is_not_there_is_a_404_and_never_a_status(api, noun, name):
    answer = await api.client.get(f"/api/{noun}/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_cancelled_execution_can_be_retried_and_a_finished_one_neither(working, tmp_path):
    execution_id = await working.submit(("a", "block", {"until": str(tmp_path / "go")}))
    await working.event(execution_id, "job.running", job="a")

    cancelled = await working.client.post(f"/api/executions/{execution_id}/cancel")
    assert cancelled.status_code == 200
    assert (await working.ended(execution_id))["status"] == "cancelled"
    again = await working.client.post(f"/api/executions/{execution_id}/cancel")
    (tmp_path / "go").touch()
    retried = await working.client.post(f"/api/executions/{execution_id}/retry", json={"resubmit": True})

    assert again.status_code == 200
    assert retried.json()["status"] == "running"
    assert (await working.ended(execution_id))["status"] == "succeeded"
    for verb in ("cancel", "retry"):
        answer = await working.client.post(f"/api/executions/{execution_id}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")


async def test_one_job_is_read_cancelled_and_retried(working, tmp_path):
    execution_id = await working.submit(("a", "block", {"until": str(tmp_path / "go")}))
    job = (await working.client.get(f"/api/executions/{execution_id}")).json()["jobs"][0]
    await working.event(execution_id, "job.running", job="a")

    assert (await working.client.post(f"/api/jobs/{job['id']}/cancel")).status_code == 200
    await working.ended(execution_id)
    (tmp_path / "go").touch()
    assert (await working.client.post(f"/api/jobs/{job['id']}/retry")).status_code == 200
    await working.ended(execution_id)

    read = (await working.client.get(f"/api/jobs/{job['id']}")).json()
    assert (read["jobId"], read["status"], read["actions"]) == ("a", "succeeded", [])
