"""The client against servers that cut connections, are busy, or refuse requests."""

import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

import callsheet
from callsheet.cli.errors import error_lines, exit_code_of
from callsheet.client import client as client_module
from callsheet.client.errors import RequestFailed, Unreachable, WaitTimeout, error_of_response
from callsheet.client.event_stream import parse_sse
from callsheet.client.plans import read_submission_body
from callsheet.client.sync_client import SyncClient
from callsheet.domain.errors import IdempotencyConflict, InvalidState, NotFound, PlanRefused, TooLarge, Unauthorized
from callsheet.domain.plan import Plan, PlannedJob, Submission

ID = "019ab1f0-0000-7000-8000-000000000001"
PLAN = {"jobs": [{"id": "a", "operation": "noop"}]}


def event(number):
    data = {"message": f"line {number}"}
    return {"number": number, "type": "job.log", "jobId": "a", "data": data, "at": "2026-11-22T09:30:00Z"}


def frame(number):
    return f"id: {number}\nevent: job.log\ndata: {json.dumps(event(number))}\n\n"


async def test_pings_and_incomplete_events_of_a_stream_are_skipped():
    text = ": ping\n\nretry: 3000\n\n" + frame(1) + 'id: 2\ndata: {"a":\ndata: 1}\n\n' + "id: 3\nevent: cut"

    async def lines():
        for line in text.split("\n"):
            yield line

    assert [message async for message in parse_sse(lines())] == [event(1), {"a": 1}]


@pytest.mark.parametrize(
    ("status", "code", "kind", "exit_code"),
    [
        (401, "unauthorized", Unauthorized, 4),
        (403, "foreign_host", RequestFailed, 4),
        (404, "not_found", NotFound, 3),
        (409, "invalid_state", InvalidState, 5),
        (413, "too_large", TooLarge, 2),
        (414, "url_too_long", RequestFailed, 2),
        (422, "plan_refused", PlanRefused, 2),
        (422, "idempotency_conflict", IdempotencyConflict, 5),
        (500, "internal_error", RequestFailed, 70),
        (503, "overloaded", RequestFailed, 6),
    ],
)
def test_each_error_response_has_its_exception_and_exit_status(status, code, kind, exit_code):
    error = error_of_response(status, json.dumps({"code": code, "detail": "no"}).encode(), retry_after="7")

    assert (type(error), error.code, error.message, exit_code_of(error)) == (kind, code, "no", exit_code)
    assert not isinstance(error, RequestFailed) or (error.http_status, error.retry_after) == (status, 7)


def test_every_problem_of_the_response_is_in_the_exception_with_its_path():
    errors = [{"path": "jobs[0].id", "code": "bad_id", "message": "bad"}, {"path": "", "message": "empty"}]

    error = error_of_response(
        422, json.dumps({"code": "plan_refused", "detail": "Refused (2 problems)", "errors": errors}).encode()
    )

    assert [(each.path, each.code, each.message) for each in error.problems] == [
        ("jobs[0].id", "bad_id", "bad"),
        ("", "", "empty"),
    ]
    assert error_lines(error) == ["Refused (2 problems)", "  jobs[0].id: bad", "  empty"]


def test_a_response_of_a_proxy_is_an_error_with_its_status():
    error = error_of_response(502, b"<html>")

    assert (error.message, error.http_status) == ("The server responded with status 502.", 502)


@pytest.mark.parametrize(
    "plan",
    [PLAN, {"executionPlan": PLAN}, Plan(jobs=[PlannedJob(id="a", operation="noop")])],
    ids=["plan", "submission", "typed plan"],
)
def test_a_plan_is_a_dictionary_or_typed(plan):
    assert read_submission_body(plan) == {"executionPlan": PLAN}


def test_a_plan_is_also_a_file(tmp_path):
    (tmp_path / "plan.yaml").write_text("jobs: [{id: a, operation: noop}]")

    assert read_submission_body(tmp_path / "plan.yaml") == {"executionPlan": PLAN}
    assert read_submission_body(str(tmp_path / "plan.yaml")) == {"executionPlan": PLAN}


def test_a_typed_submission_keeps_its_fields():
    job = PlannedJob(id="a", operation="noop", timeout=timedelta(minutes=2))
    submission = Submission(execution_plan=Plan(jobs=[job]), metadata={"order": 1})

    body = read_submission_body(submission)

    assert body == {
        "executionPlan": {"jobs": [{"id": "a", "operation": "noop", "timeout": 120.0}]},
        "metadata": {"order": 1},
    }
    assert Submission.model_validate(body) == submission


def test_url_and_key_come_from_the_environment_and_from_env_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("CALLSHEET_URL=http://files.example:1\n")
    with SyncClient() as client:
        assert client.url == "http://files.example:1"
    monkeypatch.setenv("CALLSHEET_URL", "http://environment.example:2/")
    with SyncClient() as client:
        assert client.url == "http://environment.example:2"
    with SyncClient("http://given.example:3") as client:
        assert client.url == "http://given.example:3"


class _Server(BaseHTTPRequestHandler):
    """Cuts the first event stream in the middle of an event."""

    last_event_ids: ClassVar[list[int]] = []

    def do_GET(self):
        if self.path.endswith("/events"):
            after = int(self.headers["Last-Event-ID"])
            self.last_event_ids.append(after)
            self.send_response(200)
            self.send_header(
                "Content-Length", "100000" if len(self.last_event_ids) == 1 else str(len(self._events_after(after)))
            )
            self.end_headers()
            self.wfile.write(
                (frame(1) + frame(2) + "id: 3\nda").encode()
                if len(self.last_event_ids) == 1
                else self._events_after(after)
            )
        else:
            body = json.dumps({"status": "succeeded", "lastEvent": 4}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = True

    def _events_after(self, after):
        return "".join(frame(number) for number in range(after + 1, 5)).encode()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    _Server.last_event_ids = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_lost_connection_is_resumed_after_the_last_event(server):
    with SyncClient(server) as client:
        numbers = [event.number for event in client.watch("x")]

    assert numbers == [1, 2, 3, 4]
    assert _Server.last_event_ids == [0, 2]


def test_waiting_ends_after_the_timeout(server):
    with SyncClient(server) as client, pytest.raises(WaitTimeout) as timed_out:
        list(client.watch("x", timeout=0))

    assert exit_code_of(timed_out.value) == 124


def test_a_server_that_does_not_respond_is_unreachable():
    with SyncClient("http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="callsheet up"):
        client.request("GET", "/api/queues")


class Submissions(BaseHTTPRequestHandler):
    """Breaks the first connection after it has read the request, is busy for the second, and accepts the third."""

    keys: list[str | None]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers["Idempotency-Key"])
        if len(self.keys) == 1:
            self.close_connection = True
            return
        receipt = {"executionId": ID, "status": "queued", "jobs": [], "warnings": [], "newField": 1}
        body = json.dumps(receipt if len(self.keys) == 3 else {}).encode()
        self.send_response(202 if len(self.keys) == 3 else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(handler):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_submission_is_repeated_with_the_same_idempotency_key(monkeypatch):
    monkeypatch.setattr(client_module, "_SUBMIT_DELAYS", (0.0, 0.0, 0.0))
    Submissions.keys = []
    messages = []
    with serving(Submissions) as url, SyncClient(url, on_retry=messages.append) as client:
        receipt = client.submit(PLAN)

    assert str(receipt.execution_id) == ID
    assert len(Submissions.keys) == 3
    assert len(set(Submissions.keys)) == 1
    assert Submissions.keys[0].startswith("client-")
    assert [message.partition(".")[0].partition(" ")[0] for message in messages] == ["No", "The"]


async def test_the_blocking_client_works_inside_a_running_loop(server):
    with SyncClient(server) as client:
        assert len(list(client.watch("x"))) == 4


async def test_the_asynchronous_client_has_the_same_methods_as_the_blocking_one(server):
    async with callsheet.Client(server) as client:
        assert [event.data["message"] async for event in client.watch("x", after=2)] == ["line 3", "line 4"]

    names = [name for name in vars(callsheet.Client) if not name.startswith("_")]
    assert names == [name for name in vars(SyncClient) if not name.startswith("_")]
