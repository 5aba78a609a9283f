"""Submit, read, list, cancel and retry executions."""

import asyncio
import json
import re
import threading
from uuid import UUID

import pytest

from callsheet.console import rendering, responses
from callsheet.engine.reads import executions, jobs

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


async def test_a_submitted_plan_returns_the_path_of_its_execution(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}, "metadata": {"order": 7}}

    response = await api.client.post("/api/executions", json=body)

    receipt = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/executions/{receipt['executionId']}"
    assert [(job["jobId"], job["operation"], job["status"]) for job in receipt["jobs"]] == [("a", "noop", "queued")]
    execution = (await api.client.get(response.headers["location"])).json()
    assert execution["metadata"] == {"order": 7}
    assert execution["actions"] == ["cancel"]


async def test_a_job_that_no_worker_can_run_is_accepted_with_a_warning_and_a_reason(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}}

    response = await api.client.post("/api/executions", json=body)

    [warning] = response.json()["warnings"]
    assert response.status_code == 202
    assert (warning["code"], warning["jobs"]) == ("no_worker", ["a"])
    execution = (await api.client.get(response.headers["location"])).json()
    assert execution["jobs"][0]["waitReason"] == {
        "code": "no_worker",
        "message": "No worker is running.",
        "until": None,
        "facts": {"queue": "test", "operation": "noop", "workers": 0},
    }


async def test_a_plan_may_be_yaml_and_in_snake_case(working):
    yaml = await working.client.post("/api/executions", content=YAML, headers={"Content-Type": "application/yaml"})
    snake = await working.client.post(
        "/api/executions", json={"execution_plan": {"jobs": [{"id": "a", "operation": "noop", "depends_on": []}]}}
    )

    assert snake.status_code == 202
    execution = await working.ended(yaml.json()["executionId"])
    assert execution["name"] == "From YAML"
    assert execution["jobs"][1]["result"] == {"value": 1}


async def test_all_problems_of_a_plan_are_reported_at_once_and_nothing_is_stored(api):
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

    response = await api.client.post("/api/executions", json=body)

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "plan_refused"
    assert codes(response) >= {
        ("callbackUrl", "credentials_in_url"),
        ("executionPlan.jobs[0].operation", "unknown_operation"),
        ("executionPlan.jobs[1].id", "duplicate_id"),
        ("executionPlan.jobs[2].dependsOn[0]", "unknown_job"),
        ("executionPlan.jobs[2].params.value", "unknown_job"),
        ("executionPlan.jobs", "cycle"),
    }
    assert "secret" not in response.text
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
async def test_an_unreadable_body_is_rejected(api, content, kind, status, code):
    response = await api.client.post("/api/executions", content=content, headers={"Content-Type": kind})

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_concurrent_requests_with_one_idempotency_key_create_one_execution(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}}

    responses = await asyncio.gather(
        *(api.client.post("/api/executions", json=body, headers={"Idempotency-Key": "order-1"}) for _ in range(8))
    )

    assert {response.status_code for response in responses} == {202}
    assert len({response.text for response in responses}) == 1
    assert [response.headers.get("idempotent-replayed") for response in responses].count("true") == 7


async def test_an_idempotency_key_with_another_body_is_rejected(api):
    for name in ("a", "b"):
        response = await api.client.post(
            "/api/executions",
            json={"executionPlan": {"jobs": [{"id": name, "operation": "noop"}]}},
            headers={"Idempotency-Key": "order-1"},
        )

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_conflict")


async def test_pages_contain_each_execution_once_while_new_ones_are_submitted(api):
    submitted = [await api.submit(("a", "noop", {})) for _ in range(5)]

    first = (await api.client.get("/api/executions", params={"limit": 2})).json()
    await api.submit(("late", "noop", {}))
    seen, cursor = [e["executionId"] for e in first["executions"]], first["nextCursor"]
    while cursor:
        page = (await api.client.get("/api/executions", params={"limit": 2, "cursor": cursor})).json()
        seen, cursor = seen + [e["executionId"] for e in page["executions"]], page["nextCursor"]

    assert seen == submitted[::-1]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "A" * 38, "é"])
async def test_a_forged_cursor_is_rejected(api, cursor):
    response = await api.client.get("/api/executions", params={"cursor": cursor})

    assert (response.status_code, response.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize(
    ("name", "metadata", "search", "found"),
    [
        ("50% off", {}, "50%", True),
        ("50 off", {}, "50%", False),
        ("a_b", {}, "a_b", True),
        ("axb", {}, "a_b", False),
        ("back\\slash", {}, "back\\slash", True),
        ("backslash", {}, "back\\slash", False),
        ("film", {"path": 'C:\\films "new"'}, 'C:\\films "new"', True),
        ("film", {"place": "Zürich"}, "zürich", True),
        ("film", {}, "%", False),
    ],
)
async def test_a_search_is_literal(name, metadata, search, found, working):
    plan = {"name": name, "jobs": [{"id": "a", "operation": "noop"}]}
    submission = {"executionPlan": plan, "metadata": metadata}
    execution_id = (await working.client.post("/api/executions", json=submission)).json()["executionId"]

    page = (await working.client.get("/api/executions", params={"search": search})).json()

    assert [each["executionId"] for each in page["executions"]] == ([execution_id] if found else [])


async def test_a_search_with_nul_is_rejected(working):
    response = await working.client.get("/api/executions", params={"search": "a\0b"})

    assert (response.status_code, response.json()["errors"][0]["path"]) == (422, "search")


async def test_lists_are_filtered_by_status_search_and_time(working):
    done = await working.submit(("a", "noop", {}), metadata={"film": "Metropolis"})
    await working.ended(done)
    failed = await working.submit(("a", "fail", {}))
    await working.ended(failed)

    async def ids(**params):
        response = await working.client.get("/api/executions", params=params)
        return [execution["executionId"] for execution in response.json()["executions"]]

    assert await ids(status=["failed", "cancelled"]) == [failed]
    assert await ids(search="metropolis") == [done]
    assert await ids(search=failed) == [failed]
    assert await ids(createdAfter="2999-01-01T00:00:00Z") == []
    assert await ids(createdAfter="2020-01-01T00:00:00") == [failed, done]


async def test_route_aliases_do_the_same_as_the_canonical_routes(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}}

    submitted = await api.client.post("/api/execute", json=body)
    path = submitted.headers["location"]
    by_alias = await api.client.get(f"/api/status/{submitted.json()['executionId']}")

    assert submitted.status_code == 202
    assert by_alias.json() == (await api.client.get(path)).json()


JOBS = [{"id": "a", "operation": "noop", "params": {"value": 1}}, {"id": "b", "operation": "noop"}]


@pytest.mark.parametrize("path", ["/api/executions", "/api/execute"])
@pytest.mark.parametrize(
    "body", [{"executionPlan": {"jobs": JOBS}}, {"jobs": JOBS}, JOBS], ids=["full", "plan", "list"]
)
async def test_a_plan_may_stand_alone_in_the_body(api, path, body):
    response = await api.client.post(path, json=body)

    assert response.status_code == 202, response.text
    assert [job["jobId"] for job in response.json()["jobs"]] == ["a", "b"]


BAD_JOBS = [{"id": "a", "operation": "nop"}, {"id": "b!", "operation": "noop"}]


@pytest.mark.parametrize(
    ("body", "prefix"),
    [({"executionPlan": {"jobs": BAD_JOBS}}, "executionPlan.jobs"), ({"jobs": BAD_JOBS}, "jobs"), (BAD_JOBS, "")],
)
@pytest.mark.parametrize("fields", [{"id": "b"}, {}], ids=["graph", "fields"])
async def test_problems_have_paths_in_the_body(api, body, prefix, fields):
    jobs = body if isinstance(body, list) else body.get("jobs") or body["executionPlan"]["jobs"]
    expected = {(f"{prefix}[0].operation", "unknown_operation")}
    if fields:
        jobs[1].update(fields)
    else:
        jobs[1]["id"] = "b!"
        expected.add((f"{prefix}[1].id", "string_pattern_mismatch"))

    response = await api.client.post("/api/executions", json=body)

    assert (response.status_code, codes(response)) == (422, expected)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, ("executionPlan", "missing")),
        ({"callbackUrl": "https://example.com"}, ("executionPlan", "missing")),
        ({"jobs": JOBS, "callbackUrl": "https://example.com"}, ("callbackUrl", "extra_forbidden")),
    ],
)
async def test_a_body_that_is_no_plan_is_rejected(api, body, problem):
    response = await api.client.post("/api/executions", json=body)

    assert response.status_code == 422
    assert problem in codes(response)


@pytest.mark.parametrize("name", ["nonsense", "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("noun", ["executions", "jobs", "artifacts", "status", "operations"])
async def test_an_unknown_id_is_a_404(api, noun, name):
    response = await api.client.get(f"/api/{noun}/{name}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_a_cancelled_execution_can_be_retried_and_a_succeeded_one_cannot_be_changed(working, tmp_path):
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
        response = await working.client.post(f"/api/executions/{execution_id}/{verb}")
        assert (response.status_code, response.json()["code"]) == (409, "invalid_state")


async def test_a_single_job_is_read_cancelled_and_retried(working, tmp_path):
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


async def test_a_large_execution_is_read_as_a_small_one_is_but_in_a_thread(api, monkeypatch):
    threads = []

    def job_record(*args):
        threads.append(threading.current_thread())
        return jobs.job_record(*args)

    monkeypatch.setattr(executions, "job_record", job_record)
    names = [f"a{number}" for number in range(150)]
    large = await api.submit(*((name, "noop", {"value": name}) for name in names))
    small = await api.submit(("a", "noop", {}))
    texts = [(await api.client.get(f"/api/executions/{execution_id}")).text for execution_id in (large, small)]

    read = [await executions.get_execution(api.runtime.database, UUID(key), api.runtime.sign) for key in (large, small)]
    for text, execution in zip(texts, read, strict=True):
        assert {**json.loads(text), "artifacts": []} == json.loads(execution.model_dump_json())
    assert [job["params"]["value"] for job in json.loads(texts[0])["jobs"]] == names
    in_thread = [thread is not threading.main_thread() for thread in threads]
    assert in_thread == [True] * 150 + [False] + [True] * 150 + [False]


async def test_the_page_of_a_large_execution_is_rendered_in_a_thread(api, monkeypatch):
    threads = []

    def render_template(*args, **context):
        threads.append(threading.current_thread())
        return rendering.render_template(*args, **context)

    monkeypatch.setattr(responses, "render_template", render_template)
    large = await api.submit(*((f"a{number}", "noop", {}) for number in range(150)))

    page = await api.client.get(f"/executions/{large}")

    assert page.status_code == 200
    assert "a149" in page.text
    assert threads != [threading.main_thread()]


async def test_a_job_is_read_with_its_own_dependencies_and_the_artifacts_in_its_result(working):
    values = {"file": "${a.file}", "other": {"artifactId": "no id of an artifact"}}
    execution_id = await working.submit(
        ("a", "write", {"text": "x"}), ("b", "noop", {"value": values}), ("c", "noop", {"value": "${b.value}"})
    )
    execution = await working.ended(execution_id)

    read = [(await working.client.get(f"/api/jobs/{job['id']}")).json() for job in execution["jobs"]]

    assert [job["dependsOn"] for job in read] == [[], ["a"], ["b"]]
    assert [without_expiry(job) for job in read] == [without_expiry(job) for job in execution["jobs"]]
    for job in read[1:]:
        assert job["result"]["value"]["other"] == {"artifactId": "no id of an artifact"}
        downloaded = await working.client.get(job["result"]["value"]["file"]["url"])
        assert downloaded.text == "x"


def without_expiry(job):
    """Return a job with the URLs of its result without their queries, which contain the time."""
    return json.loads(re.sub(r'\?[^"]*"', '"', json.dumps(job)))


PLAIN_REQUESTS = [
    (b'{"jobs": [{"id": "a", "operation": "noop"}]}', {}, 202),
    (b'{"jobs": [{"id": "a", "operation": "nop"}]}', {}, 422),
    (b'{"jobs": [', {}, 422),
    (b"", {}, 422),
    (b'{"jobs": []}', {"Content-Type": "text/html"}, 415),
    (b'{"jobs": []}', {"Content-Type": "application/json", "Host": "example.com"}, 403),
    (b'{"jobs": []}', {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403),
    (b" " * 20_000_000, {}, 413),
]


@pytest.mark.parametrize("path", ["/api/executions", "/api/execute"])
@pytest.mark.parametrize(("content", "headers", "status"), PLAIN_REQUESTS)
async def test_a_submission_is_answered_alike_before_and_behind_the_router(api, path, content, headers, status):
    headers = {"Content-Type": "application/json", "X-Request-ID": "same-for-both"} | headers

    before = await api.client.post(path, content=content, headers=headers)
    behind = await api.client.post(path, content=content, headers={**headers, "Idempotency-Key": "k"})

    assert (before.status_code, behind.status_code) == (status, status)
    assert _without_ids(before.json()) == _without_ids(behind.json())
    unlike = {"location", "content-length", "date"}
    assert {k: v for k, v in before.headers.items() if k not in unlike} == {
        k: v for k, v in behind.headers.items() if k not in unlike
    }


def _without_ids(value):
    if isinstance(value, dict):
        return {name: _without_ids(inner) for name, inner in value.items() if name not in ("id", "executionId")}
    return [_without_ids(inner) for inner in value] if isinstance(value, list) else value


async def test_a_submission_with_an_unknown_query_parameter_is_refused(api):
    response = await api.client.post("/api/execute?dryRun=1", json={"jobs": [{"id": "a", "operation": "noop"}]})

    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "unknown_parameter")
