"""How errors are told."""

import asyncio

import asyncpg
import pytest

from callsheet.domain.errors import StorageUnreachable

from .conftest import codes


async def test_an_unforeseen_error_is_told_as_our_fault_and_gives_nothing_away(api, monkeypatch, capsys):
    async def broken(*args, **named):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("callsheet.api.executions.list_executions", broken)

    answer = await api.client.get("/api/executions")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text
    incident = problem["detail"].split()[-1].rstrip(".")
    assert incident in "".join(capsys.readouterr())


@pytest.mark.parametrize("error", [asyncpg.CannotConnectNowError(), ConnectionRefusedError(), TimeoutError()])
async def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back(api, monkeypatch, error):
    async def away(*args, **named):
        raise error

    monkeypatch.setattr("callsheet.api.executions.list_executions", away)

    answer = await api.client.get("/api/executions")

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_storage_that_is_away_is_a_503_too(api, monkeypatch):
    async def away(*args, **named):
        raise StorageUnreachable("The bucket does not answer", retry_after=7)

    monkeypatch.setattr("callsheet.api.executions.list_executions", away)

    answer = await api.client.get("/api/executions")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


async def test_unknown_addresses_and_methods_are_problems(api):
    nowhere = await api.client.get("/api/nowhere")
    method = await api.client.delete("/api/executions")

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET"


async def test_all_that_is_wrong_with_a_request_is_told_without_repeating_it(api):
    answer = await api.client.get("/api/executions", params={"limit": "hunter2", "status": "gone", "search": "x" * 999})

    assert answer.status_code == 422
    assert {path for path, _ in codes(answer)} == {"limit", "status[0]", "search"}
    assert "hunter2" not in answer.text


async def test_every_answer_names_its_request_as_the_log_does(api, capsys):
    given = await api.client.get("/api/executions/x", headers={"X-Request-ID": "trace-12345"})
    made = await api.client.get("/api/executions/x", headers={"X-Request-ID": "not/allowed\x7f"})

    assert given.headers["x-request-id"] == given.json()["instance"] == "trace-12345"
    assert made.json()["instance"] == made.headers["x-request-id"] != ""
    assert "trace-12345" in "".join(capsys.readouterr())


async def test_a_person_gets_an_error_as_a_page(api):
    answer = await api.client.get("/executions/x", headers={"Accept": "text/html"})

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is nothing under this address" in answer.text


async def test_other_requests_go_on_while_a_large_plan_is_read(api):
    jobs = [{"id": f"j{n}", "operation": "noop", "params": {"value": "x" * 200}} for n in range(8000)]
    loop = asyncio.get_running_loop()
    submitting = asyncio.create_task(api.client.post("/api/execute", json={"executionPlan": {"jobs": jobs}}))
    slowest = 0.0
    while not submitting.done():
        began = loop.time()
        assert (await api.client.get("/health")).status_code == 200
        slowest = max(slowest, loop.time() - began)

    assert submitting.result().status_code == 202
    assert slowest < 5
