import http.server
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from callsheet.cli import remote
from callsheet.cli.errors import CommandFailed, Unreachable, WaitTimeout, exit_code_of
from callsheet.cli.remote import ApiClient, command_failure, parse_sse


def frame(number, kind="job.progress"):
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps({'number': number})}\n\n"


def test_pings_and_incomplete_events_of_a_stream_are_skipped():
    text = ": ping\n\nretry: 3000\n\n" + frame(1) + 'id: 2\ndata: {"a":\ndata: 1}\n\n' + "id: 3\nevent: cut"

    events = list(parse_sse(iter(text.split("\n"))))

    assert [(event.number, event.type, event.data) for event in events] == [
        (1, "job.progress", {"number": 1}),
        (2, "message", {"a": 1}),
    ]


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "unauthorized", 4),
        (404, "not_found", 3),
        (409, "invalid_state", 5),
        (413, "too_large", 2),
        (422, "plan_refused", 2),
        (422, "idempotency_conflict", 5),
        (500, "internal_error", 70),
        (503, "away", 6),
    ],
)
def test_each_error_response_has_its_exit_status(status, code, exit_code):
    assert exit_code_of(command_failure(status, json.dumps({"code": code, "detail": "no"}).encode())) == exit_code


def test_every_problem_of_the_response_is_a_line_with_its_path():
    errors = [{"path": "jobs[0].id", "message": "bad"}, {"path": "", "message": "empty"}]

    error = command_failure(422, json.dumps({"detail": "Rejected", "errors": errors}).encode())

    assert (error.message, error.problems) == ("Rejected", ["jobs[0].id: bad", "empty"])
    assert isinstance(command_failure(502, b"<html>"), CommandFailed)


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
    with ApiClient(server, None) as client:
        numbers = [event.number for event in client.events("x")]

    assert numbers == [1, 2, 3, 4]
    assert _Server.last_event_ids == [0, 2]


def test_waiting_ends_after_the_timeout(server):
    with ApiClient(server, None) as client, pytest.raises(WaitTimeout) as timed_out:
        list(client.events("x", timeout=0))

    assert exit_code_of(timed_out.value) == 124


def test_a_server_that_does_not_respond_is_unreachable():
    with ApiClient("http://127.0.0.1:1", None) as client, pytest.raises(Unreachable, match="callsheet up"):
        client.get("/api/queues")


class Submissions(http.server.BaseHTTPRequestHandler):
    """Breaks the first connection after it has read the request, is busy for the second, and accepts the third."""

    keys: list[str | None]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers["Idempotency-Key"])
        if len(self.keys) == 1:
            self.close_connection = True
            return
        body = b'{"executionId": "x"}' if len(self.keys) == 3 else b"{}"
        self.send_response(202 if len(self.keys) == 3 else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_submission_is_repeated_with_the_same_idempotency_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SUBMIT_DELAYS", (0.0, 0.0, 0.0))
    Submissions.keys = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Submissions) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with remote.ApiClient(f"http://127.0.0.1:{server.server_port}", None) as client:
            receipt = client.submit({"jobs": []})
        server.shutdown()
        thread.join()

    assert receipt == {"executionId": "x"}
    assert len(Submissions.keys) == 3
    assert len(set(Submissions.keys)) == 1
    assert (Submissions.keys[0] or "").startswith("cli-")
