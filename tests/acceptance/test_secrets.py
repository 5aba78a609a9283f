"""Every secret setting is planted, used and then searched for in everything that the product writes."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
from pydantic import SecretStr

from callsheet.api.route_access import ROUTE_ACCESS
from callsheet.client.settings import ClientSettings
from callsheet.providers.catalog import load_provider_classes
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings

ROOT = Path(__file__).parents[2]
_STREAMS = re.compile(r"/stream$|/stream/|/events$|/logs$")


def is_secret(field):
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def canary(name):
    return f"canary-{name.lower().replace('_', '-')}-5f0c2e"


FORMS = {
    "CALLSHEET_DATABASE_READ_URL": "postgresql://anna:{canary}@127.0.0.1:1/none",
    "CALLSHEET_REDIS_URL": "redis://:{canary}@127.0.0.1:1/0",
    "CALLSHEET_ALERT_WEBHOOK_URL": "{echo}/{canary}",
    "CALLSHEET_OTLP_HEADERS": "x-key={canary}",
    "CALLSHEET_SENTRY_DSN": "http://{canary}@{echo_host}/1",
}
"""Settings that take more than any text. A new one belongs here; without it, the processes do not start."""


def secret_variables():
    """Return the variable of each secret setting of the installation and of every provider."""
    names = [f"CALLSHEET_{name.upper()}" for name, field in Settings.model_fields.items() if is_secret(field)]
    for provider in load_provider_classes().values():
        fields = provider.settings_class.model_fields.items()
        names += [provider.settings_class.variables(name)[0] for name, field in fields if is_secret(field)]
    return names


def test_every_class_with_secret_settings_is_covered():
    """A secret of another class of settings would not be planted."""
    own = {f"CALLSHEET_{name.upper()}" for name, field in ClientSettings.model_fields.items() if is_secret(field)}
    assert own <= set(secret_variables()), "the client has the key of the server"
    assert len(secret_variables()) >= 24


class Echo(BaseHTTPRequestHandler):
    """Refuses every request, and repeats what it was sent: the worst that an outside server does."""

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(f"{self.path}\n{self.headers}\n{body[:2000].decode(errors='replace')}")
        text = {
            "error": {"message": f"Wrong key. Your request: {self.path} {self.headers}"},
            "detail": str(self.headers),
        }
        content = json.dumps(text).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _answer

    def log_message(self, *_):
        """Print nothing."""


@contextmanager
def echo_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def environment_of(database_url, data_dir, port, echo):
    """Return an environment with a canary in each secret, and every outside address at the echo server."""
    url = f"http://127.0.0.1:{echo.server_port}"
    values = {"echo": url, "echo_host": f"127.0.0.1:{echo.server_port}"}
    secrets = {
        name: FORMS.get(name, "{canary}").format(canary=canary(name), **values)
        for name in secret_variables()
        if name != "CALLSHEET_DATABASE_URL"
    }
    parts = urlsplit(database_url)
    user = parts.username or "postgres"
    place = f"{user}:{canary('CALLSHEET_DATABASE_URL')}@{parts.netloc.rpartition('@')[2]}"
    providers = {
        provider.settings_class.variables(name)[0]: url
        for provider in load_provider_classes().values()
        for name in provider.settings_class.model_fields
        if name.endswith("url")
    }
    needed = {"CALLSHEET_VERTEX_PROJECT": "films", "CALLSHEET_RUNPOD_ENDPOINTS": "a"}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CALLSHEET_", "OTEL_"))},
        **secrets,
        **providers,
        **needed,
        "PYTHONPATH": str(ROOT / "src"),
        "CALLSHEET_DATABASE_URL": urlunsplit(parts._replace(netloc=place)),
        "CALLSHEET_DATA_DIR": str(data_dir),
        "CALLSHEET_PORT": str(port),
        "CALLSHEET_CONSOLE_USER": "anna",
        "CALLSHEET_LLM_URL": url,
        "CALLSHEET_LLM_MODEL": "toy",
        "CALLSHEET_POLLED_API_URL": url,
        "CALLSHEET_OTLP_ENDPOINT": url,
        "CALLSHEET_ALERT_FAILURE_THRESHOLD": "1",
        "CALLSHEET_RETRY_BASE": "0.1",
        "CALLSHEET_RETRY_CAP": "0.2",
        "HTTPS_PROXY": f"http://anna:{canary('PROXY')}@127.0.0.1:1",
    }


def plan():
    """Return a plan that uses as many secrets as possible: each provider and the language model, all in vain."""
    registry, models = read_registry(), {}
    for model in registry.values():
        for offer in model.offers:
            if not registry.problems(model.id, {"prompt": "fox"}, offer.provider):
                models.setdefault(offer.provider, model.id)
    jobs = [
        {"id": f"film-{name}", "operation": "generate", "continueOnFailure": True,
         "params": {"modelId": model, "prompt": "fox", "provider": name}}
        for name, model in sorted(models.items())
    ]  # fmt: skip
    jobs.append({"id": "text", "operation": "content", "continueOnFailure": True, "params": {"brief": "a fox"}})
    return {"jobs": jobs}


@contextmanager
def process(arguments, environment, log):
    with log.open("w") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "callsheet", "-v", *arguments], env=environment, stdout=output, stderr=output
        )
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(40)
            finally:
                started.kill()


class Client:
    def __init__(self, port):
        self._base = f"http://127.0.0.1:{port}"

    def request(self, path, body=None, accept="*/*"):
        key = canary("CALLSHEET_API_KEY")
        request = urllib.request.Request(
            self._base + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Accept": accept},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                return response.status, str(response.headers), response.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, str(error.headers), error.read().decode(errors="replace")


def wait(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.2)  # sleep: another process needs this time
    raise AssertionError(f"waited {seconds} s for {what}")


def command_lines(started):
    processes = [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]
    return "\n".join(" ".join(each.cmdline()) for each in processes if each.is_running())


async def dump(database_url):
    """Return every row of every table as text."""
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'callsheet'"
        )
        return {
            row["name"]: "\n".join(
                each["line"] for each in await connection.fetch(f"SELECT t::text AS line FROM {row['name']} t")
            )
            for row in tables
        }
    finally:
        await connection.close()


def pages_of(client, execution_id):
    """Return all that the server shows."""
    _, _, text = client.request(f"/api/executions/{execution_id}")
    job = json.loads(text)["jobs"][0]["id"]
    given = {"execution_id": execution_id, "job_id": job, "job": job}
    shown = {"the execution": text}
    for route in ROUTE_ACCESS:
        method, _, path = route.partition(" ")
        filled = re.sub(r"\{(\w+)(?::path)?\}", lambda found: given.get(found[1], "none"), path)
        if method != "GET" or _STREAMS.search(path) or "stream" in path:
            continue
        status, headers, body = client.request(filled, accept="text/html, application/json")
        assert status < 500 or path == "/readyz", f"{path}: {status} {body[:300]}"
        shown[path] = headers + body
    for suffix in ("events", "events?page=true"):
        shown[suffix] = client.request(f"/api/executions/{execution_id}/{suffix}", accept="application/json")[2]
    shown["openapi"] = client.request("/openapi.json")[2]
    return shown


async def test_no_secret_is_in_logs_errors_events_pages_metrics_rows_files_or_command_lines(database_url, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data_dir = tmp_path / "data"
    found = {}
    with echo_server() as echo:
        environment = environment_of(database_url, data_dir, port, echo)
        client = Client(port)
        with process(["up", "--intake", "polled-api"], environment, tmp_path / "up.log") as up:
            wait(lambda: client.request("/readyz")[0] == 200, 90, "the server")
            status, _, text = client.request("/api/executions", {"executionPlan": plan()})
            assert status == 202, text
            execution_id = json.loads(text)["executionId"]
            found["command lines"] = command_lines(up)

            def ended():
                state = json.loads(client.request(f"/api/executions/{execution_id}")[2])
                return state["status"] not in ("queued", "running") and state

            state = wait(ended, 120, "the end of the jobs")
            wait(lambda: any(canary("CALLSHEET_ALERT_WEBHOOK_URL") in each for each in echo.seen), 30, "the alert")
            found |= pages_of(client, execution_id)
        for name, arguments in {
            "check": ["check"],
            "bullmq": ["intake", "bullmq"],
            "bucket": ["serve", "--port", str(port + 1 if port < 65000 else port - 1)],
        }.items():
            more = {"CALLSHEET_S3_BUCKET": "films", "CALLSHEET_S3_ENDPOINT": f"http://127.0.0.1:{echo.server_port}"}
            log = tmp_path / f"{name}.log"
            with process(arguments, environment | (more if name == "bucket" else {}), log) as started:
                with_lines = wait(
                    lambda p=started, file=log: p.poll() is not None or file.stat().st_size > 300, 60, name
                )
                found[f"command lines of {name}"] = command_lines(started) if started.poll() is None else ""
                assert with_lines
        seen = "\n".join(echo.seen)

    found |= {log.name: log.read_text() for log in tmp_path.glob("*.log")}
    found |= await dump(database_url)
    found |= {
        str(file): file.read_bytes().decode(errors="replace")
        for file in data_dir.rglob("*")
        if file.is_file() and file.stat().st_size < 10_000_000
    }
    assert len(state["jobs"]) > 6
    assert {job["status"] for job in state["jobs"]} == {"failed"}
    used = [name for name in secret_variables() if canary(name) in seen]
    assert len(used) >= 8, f"the secrets must have been used: {used}"
    planted = [*secret_variables(), "PROXY"]
    leaks = {(name, place) for place, text in found.items() for name in planted if canary(name) in text}
    assert not leaks
    assert len(found["up.log"]) > 5000
    assert "callsheet_queue_jobs" in found["/metrics"]
