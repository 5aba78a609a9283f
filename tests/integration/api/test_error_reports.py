"""Error reports to a server with the protocol of Sentry."""

import gzip
import logging
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
import structlog
from pydantic import SecretStr

from callsheet.cli.telemetry import telemetry
from callsheet.domain.errors import ConfigurationError
from callsheet.logs import configure_logging
from callsheet.testing.waiters import until

KEY = "0123456789abcdef-key"


class Sentry:
    """The envelope endpoint of Sentry."""

    def __init__(self):
        self.events, self.bodies = [], []
        sentry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sentry.bodies.append(body)
                assert self.path == "/api/7/envelope/", self.path
                assert "sentry_key=public" in self.headers["X-Sentry-Auth"]
                _, *parts = body.split(b"\n")
                for head, item in zip(parts[::2], parts[1::2], strict=False):
                    if head and orjson.loads(head)["type"] == "event":
                        sentry.events.append(orjson.loads(item))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://public@127.0.0.1:{self.server.server_port}/7"


@contextmanager
def reporting(settings, **changed):
    sentry = Sentry()
    thread = threading.Thread(target=sentry.server.serve_forever, daemon=True)
    thread.start()
    handlers = logging.getLogger().handlers[:]
    configure_logging()
    try:
        with telemetry(settings.model_copy(update={"sentry_dsn": SecretStr(sentry.dsn), **changed})):
            yield sentry
    finally:
        logging.getLogger().handlers = handlers
        structlog.reset_defaults()
        sentry.server.shutdown()
        sentry.server.server_close()
        thread.join(10)


async def test_an_exception_of_an_operation_is_reported_with_its_ids(working):
    with reporting(working.runtime.settings, sentry_environment="stage") as sentry:
        execution_id = await working.submit(("a", "surprise", {}))
        await working.ended(execution_id)
        await until(lambda: sentry.events)

    [event] = [each for each in sentry.events if each["logentry"]["message"] == "operation raised an exception"]
    assert event["level"] == "error"
    assert event["environment"] == "stage"
    assert event["release"].startswith("callsheet@")
    assert event["tags"]["execution"] == execution_id
    assert event["tags"]["operation"] == "surprise"
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "surprise"
    assert not any("vars" in frame for frame in frames)


async def test_warnings_and_failures_on_purpose_are_not_reported(working):
    with reporting(working.runtime.settings) as sentry:
        await working.ended(await working.submit(("a", "fail", {})))
        structlog.get_logger().warning("a warning", key="x")

    assert sentry.events == []


def test_no_secret_is_sent(settings):
    secrets = {"api_key": "zebra-horse-bear", "s3_secret_key": "plain words as a secret"}
    changed = {name: SecretStr(value) for name, value in secrets.items()}
    with reporting(settings, **changed) as sentry:
        log, text = structlog.get_logger(), "failed for " + secrets["api_key"]
        try:
            raise ValueError(f"cannot log in with {secrets['s3_secret_key']} at https://anna:hunter2@box.example/")
        except ValueError as error:
            log.error(text, exc_info=error, password="swordfish", url="https://b/?token=abc12")
        logging.getLogger("library").error("broken: Authorization: Bearer abcdef123456")

    text = b"\n".join(sentry.bodies).decode()
    assert len(sentry.events) == 2
    for secret in (*secrets.values(), "hunter2", "swordfish", "abc12", "abcdef123456"):
        assert secret not in text, secret


def test_reports_without_their_extra_are_an_error_that_says_what_to_install(settings, monkeypatch):
    monkeypatch.delitem(sys.modules, "callsheet.tracing.errors", raising=False)
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    changed = settings.model_copy(update={"sentry_dsn": SecretStr("http://a@b.example/1")})
    with pytest.raises(ConfigurationError, match=r"callsheet\[sentry\]"), telemetry(changed):
        pass


def test_a_text_that_is_no_dsn_is_refused_and_not_repeated(settings):
    changed = settings.model_copy(update={"sentry_dsn": SecretStr("my-secret-thing")})
    with pytest.raises(ConfigurationError, match="CALLSHEET_SENTRY_DSN is not a DSN") as refused, telemetry(changed):
        pass
    assert "my-secret-thing" not in str(refused.value)


def test_a_server_of_reports_that_is_away_does_not_hold_up_the_end_of_a_process(settings):
    changed = settings.model_copy(update={"sentry_dsn": SecretStr("http://a@127.0.0.1:1/1")})
    began = time.monotonic()
    with telemetry(changed):
        logging.getLogger("library").error("broken")
    assert time.monotonic() - began < 10
