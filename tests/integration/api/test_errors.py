"""Error responses."""

import asyncio
import errno

import asyncpg
import pytest

from callsheet.db.outages import ConnectionRejected, NoConnection, ReadOnlyDatabase
from callsheet.domain.errors import DatabaseUnavailable, StorageUnreachable

from .conftest import codes


def logged(capsys, caplog):
    """Return the log. It is in the standard `logging` once a local run of an earlier test has configured it."""
    return "".join(capsys.readouterr()) + caplog.text


async def test_an_unexpected_error_is_a_500_without_details(api, monkeypatch, capsys, caplog):
    async def broken(*args, **named):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("callsheet.api.executions.list_executions", broken)

    response = await api.client.get("/api/executions")

    problem = response.json()
    assert (response.status_code, problem["code"]) == (500, "internal_error")
    assert "hunter2" not in response.text
    incident = problem["detail"].split()[-1].rstrip(".")
    assert incident in logged(capsys, caplog)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), "is starting, stopping or recovering."),
        (ConnectionRejected(asyncpg.InvalidPasswordError("hunter2")), "rejects the login."),
        (ReadOnlyDatabase(), "is read-only: it is a standby, or in a read-only mode."),
        (NoConnection(ConnectionRefusedError()), "does not respond."),
        (NoConnection(TimeoutError()), "does not respond."),
    ],
)
async def test_an_unavailable_database_is_a_503_with_its_reason_and_retry_after(api, monkeypatch, error, reason):
    async def unavailable(*args, **named):
        raise error

    monkeypatch.setattr("callsheet.api.executions.list_executions", unavailable)

    response = await api.client.get("/api/executions")

    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert response.json()["detail"] == f"The database {reason} No data is lost; retry in a moment."
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/uploads/1"), 503, "disk_full"),
        (OSError(errno.EDQUOT, "Quota exceeded", "/data/uploads/1"), 503, "disk_full"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/uploads/1"), 500, "internal_error"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/data/uploads/1"), 500, "internal_error"),
        (OSError(errno.EIO, "Input/output error", "/data/uploads/1"), 500, "internal_error"),
        (OSError(errno.EROFS, "Read-only file system", "/data/uploads/1"), 500, "internal_error"),
        (OSError(errno.EMFILE, "Too many open files"), 500, "internal_error"),
        (TimeoutError(), 500, "internal_error"),
        (ConnectionResetError(), 500, "internal_error"),
    ],
)
async def test_an_error_of_a_file_is_no_outage_of_the_database(api, monkeypatch, capsys, caplog, error, status, code):
    async def broken(*args, **named):
        raise error

    monkeypatch.setattr("callsheet.api.executions.list_executions", broken)

    response = await api.client.get("/api/executions")

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "/data" not in response.text
    assert "database unavailable" not in logged(capsys, caplog)


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), OSError(errno.EHOSTUNREACH, "No route")])
async def test_an_error_of_the_network_in_the_work_of_the_database_is_an_outage(api, error):
    async def query(connection):
        raise error

    with pytest.raises(DatabaseUnavailable, match="does not respond") as unavailable:
        await api.runtime.database.retry(query, timeout=0)
    assert unavailable.value.facts["reason"] == type(error).__name__


async def test_an_unreachable_storage_is_a_503_with_retry_after(api, monkeypatch):
    async def unavailable(*args, **named):
        raise StorageUnreachable("The bucket does not response", retry_after=7)

    monkeypatch.setattr("callsheet.api.executions.list_executions", unavailable)

    response = await api.client.get("/api/executions")

    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


async def test_unknown_paths_and_methods_are_problems(api):
    nowhere = await api.client.get("/api/nowhere")
    method = await api.client.delete("/api/workers")

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET"


async def test_all_invalid_parameters_are_reported_without_their_values(api):
    response = await api.client.get(
        "/api/executions", params={"limit": "hunter2", "status": "gone", "search": "x" * 999}
    )

    assert response.status_code == 422
    assert {path for path, _ in codes(response)} == {"limit", "status[0]", "search"}
    assert "hunter2" not in response.text


async def test_every_response_has_the_request_id_of_the_log(api, capsys, caplog):
    caplog.set_level("INFO")
    given = await api.client.get("/api/executions/x", headers={"X-Request-ID": "trace-12345"})
    generated = await api.client.get("/api/executions/x", headers={"X-Request-ID": "not/allowed\x7f"})

    assert given.headers["x-request-id"] == given.json()["instance"] == "trace-12345"
    assert generated.json()["instance"] == generated.headers["x-request-id"] != ""
    assert "trace-12345" in logged(capsys, caplog)


async def test_a_browser_gets_an_error_as_html(api):
    response = await api.client.get("/executions/x", headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert "There is no resource at this path" in response.text


async def test_a_large_plan_does_not_block_other_requests(api):
    jobs = [{"id": f"j{n}", "operation": "noop", "params": {"value": "x" * 200}} for n in range(8000)]
    loop = asyncio.get_running_loop()
    submitting = asyncio.create_task(api.client.post("/api/executions", json={"executionPlan": {"jobs": jobs}}))
    slowest = 0.0
    while not submitting.done():
        began = loop.time()
        assert (await api.client.get("/health")).status_code == 200
        slowest = max(slowest, loop.time() - began)

    assert submitting.result().status_code == 202
    assert slowest < 5
