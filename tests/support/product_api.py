"""The API of a product: receives statuses of jobs over HTTP, and can be slow, fail, and go away."""

import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ProductAPI:
    """A server on a port of its own, which it keeps when it is started again."""

    def __init__(self):
        self.requests = []
        """What was received: (id of the job, body, status of the response)."""
        self.headers = []
        self.respond = lambda job, body: 200
        """Returns the status of the response. It may also wait."""
        self._lock = threading.Lock()
        self._port = 0
        self._server = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    def start(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PATCH(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                _, jobs, job = self.path.split("/")
                assert jobs == "jobs"
                status = api.respond(job, body)
                with api._lock:
                    api.requests.append((job, body, status))
                    api.headers.append(dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *_):
                pass  # the client went away

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def accepted(self):
        """Return the accepted statuses of each job, in order."""
        found = defaultdict(list)
        with self._lock:
            for job, body, status in self.requests:
                if status < 300:
                    found[job].append(body["status"])
        return dict(found)

    def bodies(self, job):
        with self._lock:
            return [body for name, body, _ in self.requests if name == job]

    def wait(self, condition, timeout=90):
        """Wait until `condition()` is true."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"received: {self.requests[-20:]}"
            time.sleep(0.02)
