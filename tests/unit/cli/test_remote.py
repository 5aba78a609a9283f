import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from callsheet.cli.errors import CommandFailed, Unreachable, WaitedTooLong, exit_code_of
from callsheet.cli.remote import ApiClient, parse_stream, refusal


def frame(number, kind="job.progress"):
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps({'number': number})}\n\n"


def test_a_stream_is_read_past_pings_and_half_events():
    text = ": ping\n\nretry: 3000\n\n" + frame(1) + 'id: 2\ndata: {"a":\ndata: 1}\n\n' + "id: 3\nevent: cut"

    events = list(parse_stream(iter(text.split("\n"))))

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
def test_each_refusal_of_the_server_has_its_exit_status(status, code, exit_code):
    assert exit_code_of(refusal(status, json.dumps({"code": code, "detail": "no"}).encode())) == exit_code


def test_every_problem_that_the_server_names_is_a_line_with_its_path_first():
    errors = [{"path": "jobs[0].id", "message": "bad"}, {"path": "", "message": "empty"}]

    refused = refusal(422, json.dumps({"detail": "Refused", "errors": errors}).encode())

    assert (refused.message, refused.problems) == ("Refused", ["jobs[0].id: bad", "empty"])
    assert isinstance(refusal(502, b"<html>"), CommandFailed)


class _Server(BaseHTTPRequestHandler):
    """Cuts the first stream in the middle of an event."""

    asked: ClassVar[list[int]] = []

    def do_GET(self):
        if self.path.endswith("/events"):
            after = int(self.headers["Last-Event-ID"])
            self.asked.append(after)
            self.send_response(200)
            self.send_header("Content-Length", "100000" if len(self.asked) == 1 else str(len(self._rest(after))))
            self.end_headers()
            self.wfile.write(
                (frame(1) + frame(2) + "id: 3\nda").encode() if len(self.asked) == 1 else self._rest(after)
            )
        else:
            body = json.dumps({"status": "succeeded", "lastEvent": 4}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = True

    def _rest(self, after):
        return "".join(frame(number) for number in range(after + 1, 5)).encode()

    def log_message(self, *words):
        pass


@pytest.fixture
def server():
    _Server.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_cut_stream_is_taken_up_where_it_broke_off(server):
    with ApiClient(server, None) as remote:
        numbers = [event.number for event in remote.events("x")]

    assert numbers == [1, 2, 3, 4]
    assert _Server.asked == [0, 2]


def test_waiting_ends_when_its_time_is_over(server):
    with ApiClient(server, None) as remote, pytest.raises(WaitedTooLong) as late:
        list(remote.events("x", timeout=0))

    assert exit_code_of(late.value) == 124


def test_a_server_that_does_not_answer_is_unreachable():
    with ApiClient("http://127.0.0.1:1", None) as remote, pytest.raises(Unreachable, match="callsheet up"):
        remote.get("/api/queues")
