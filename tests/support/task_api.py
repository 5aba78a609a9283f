"""A small API that hands out tasks over HTTP and receives their results, like the product of a polled worker."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class TaskAPI:
    """Tasks are handed out oldest first, and again if no result has arrived for `lease` seconds."""

    def __init__(self, *, lease=3.0):
        self.lease = lease
        self.tasks = {}
        """Task by id, in the order of arrival."""
        self.taken = {}
        """Id → when it was handed out."""
        self.results = {}
        """Id → all bodies that its callback received."""
        self.weather = []
        """(status, body) of the next polls, before any task."""
        self.callback_weather = []
        """Statuses of the next callbacks; 0: the receiver reads the result and never responds."""
        self.polls = []
        """Time and authorization of each poll."""
        self.files = {}
        """Path → (media type, contents) of files to download."""
        self._lock = threading.Lock()
        self._server = None
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def add(self, task):
        with self._lock:
            self.tasks[str(task["id"])] = task
        return str(task["id"])

    def deliver_again(self, id):
        with self._lock:
            self.taken.pop(id, None)

    def poll(self, authorization):
        with self._lock:
            self.polls.append((time.monotonic(), authorization))
            if self.weather:
                return self.weather.pop(0)
            now = time.monotonic()
            for id, task in self.tasks.items():
                if id not in self.results and now - self.taken.get(id, float("-inf")) > self.lease:
                    self.taken[id] = now
                    return 200, json.dumps(task).encode()
        return 204, b""

    def receive(self, id, body):
        with self._lock:
            if self.callback_weather:
                return self.callback_weather.pop(0)
            self.results.setdefault(id, []).append(json.loads(body))
        return 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _handler(api):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path in api.files:
                media_type, contents = api.files[self.path]
                self._respond(200, contents, media_type)
                return
            assert self.path == "/api/worker/task", self.path
            status, body = api.poll(self.headers.get("Authorization"))
            if status == 0:  # no response
                return
            self._respond(status, body)

        def do_POST(self):
            if "Content-Length" not in self.headers:  # many servers do not read chunked requests
                self._respond(411, b"{}")
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = api.receive(unquote(self.path.rpartition("/")[2]), body)
            if status == 0:
                self.rfile.read(1)  # until the client closes the connection
                return
            self._respond(status, b"{}")

        def _respond(self, status, body, media_type="application/json"):
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 204:
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
