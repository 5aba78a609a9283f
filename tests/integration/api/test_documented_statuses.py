"""Every route gives each status that the OpenAPI document lists for it, and no other."""

import asyncio
import hashlib
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from callsheet.api import body_limits, overload_middleware
from callsheet.db.database import Database
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.files.signed_urls import sign_path
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.testing.fake_provider import SIGNATURE, FakeProvider
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

from .conftest import served

KEY = "0123456789abcdef-key"
NOTHING = "019ab1f0-5c3e-7a10-9d7e-0f4b3c2d1e00"
FILE = b"\x89PNG\r\n\x1a\n" + bytes(100)
LIMIT = 4000
"""Bytes of a body."""
BODIES = {
    "PATCH /api/queues/{name}": {"paused": False},
    "PATCH /api/workers/{worker_id}": {"lanes": {"test": 1}},
    "POST /api/executions": {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}},
    "POST /api/uploads": {"sha256": hashlib.sha256(FILE).hexdigest(), "size": len(FILE), "name": "a.png"},
    "POST /v1/videos": {"model": "bytedance/seedance-1-pro", "prompt": "A red fox"},
}


@pytest.fixture
async def settings(settings, monkeypatch):
    soon = timedelta(seconds=0.02)
    async with FakeReplicate() as replicate:
        for name, value in replicate.environment().items():
            monkeypatch.setenv(name, value)
        changes = {
            "api_key": SecretStr(KEY), "max_body_bytes": LIMIT, "upload_max_bytes": LIMIT, "webhook_max_bytes": LIMIT,
            "provider_poll_initial": soon, "provider_poll_max": soon, "provider_poll_interval": soon,
        }  # fmt: skip
        yield settings.model_copy(update=changes)


@pytest.fixture
def catalog():
    return Catalog([*ALL, generate])


class Walk:
    """Sends requests to the routes of the document, and notes the statuses of the responses."""

    def __init__(self, api, document):
        self.api = api
        self.seen = defaultdict(set)
        self.documented = {
            f"{method.upper()} {path}": {int(status) for status in operation["responses"]}
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        self.with_body = {
            f"{method.upper()} {path}"
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if "requestBody" in operation
        }

    async def ask(self, route, *values, query="", key=KEY, client=None, headers=None, **options):
        """Send a request. `values` are those of the parameters in the path; others are ids of nothing."""
        method, path = route.split(" ")
        given = iter(values)
        url = re.sub(r"\{\w+\}", lambda _: str(next(given, NOTHING)), path) + query
        if (
            method in ("POST", "PATCH")
            and "content" not in options
            and "json" not in options
            and "files" not in options
        ):
            options["json"] = BODIES.get(route, {})
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        response = await (client or self.api.client).request(
            method, url, headers={"Upload-Offset": "0", **authorization, **(headers or {})}, **options
        )
        self.seen[route].add(response.status_code)
        return response

    async def ask_raw(self, route, *values, head, body=b"", query=""):
        """Send a request whose length does not fit its body, and note the status of the response."""
        method, path = route.split(" ")
        given = iter(values)
        url = re.sub(r"\{\w+\}", lambda _: str(next(given, NOTHING)), path) + query
        reader, writer = await asyncio.open_connection("127.0.0.1", self.api.client.base_url.port)
        lines = (
            f"{method} {url} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {KEY}",
            "Upload-Offset: 0",
            head,
        )
        writer.write("\r\n".join((*lines, "Connection: close", "", "")).encode() + body)
        async with asyncio.timeout(60):
            status = (await reader.read()).split(b" ", 2)[1]
        writer.close()
        self.seen[route].add(int(status))

    def faults(self):
        """Return every status that is not documented, and every documented one that was not given."""
        return {
            route: {"not documented": self.seen[route] - statuses, "never given": statuses - self.seen[route]}
            for route, statuses in self.documented.items()
            if self.seen[route] != statuses
        }

    async def every_route(self, **options):
        for route in self.documented:
            if (
                not route.endswith(("/events", "/logs"))
                or "headers" in options
                or "query" in options
                or "key" in options
            ):
                await self.ask(route, **options)


async def test_every_route_gives_exactly_its_documented_statuses(settings, catalog, tmp_path, monkeypatch):
    async with served(settings, catalog) as api:
        document = (await api.client.get("/openapi.json", headers={"Authorization": f"Bearer {KEY}"})).json()
        walk = Walk(api, document)
        await walk_errors_of_all_routes(walk)
        await walk_another_host(walk, settings, catalog)
        await walk_executions(walk)
        await walk_fleet_and_catalogs(walk)
        await walk_uploads(walk)
        await walk_videos(walk)
        await walk_provider_webhooks(walk, settings, catalog, FakeProvider(tmp_path / "toy"))
        await walk_slow_bodies(walk, monkeypatch)
        await walk_overload_and_outage(walk, monkeypatch)

    assert walk.faults() == {}


async def walk_errors_of_all_routes(walk):
    await walk.every_route(key=None)
    await walk.every_route(query="?" + "x" * 9_000)
    await walk.every_route(headers={"X-Long": "x" * 33_000})
    await walk.every_route(query="?nonsense=1")
    await walk.every_route()
    for route in walk.documented:
        if not route.startswith("GET"):
            await walk.ask(route, content=b" " * (LIMIT + 1), headers={"Content-Type": "application/json"})
            await walk.ask_raw(route, head="Content-Length: 2\r\nTransfer-Encoding: chunked", body=b"{}")


async def walk_another_host(walk, settings, catalog):
    """A server without a key accepts only requests for this machine, and none that another site has caused."""
    open_settings = settings.model_copy(update={"api_key": None, "port": 0})
    async with served(open_settings, catalog) as api:
        for route in walk.documented:
            headers = {"Host": "example.com", "Origin": "https://example.org"}
            await walk.ask(route, key=None, client=api.client, headers=headers)


async def walk_executions(walk):
    submitted = await walk.ask("POST /api/executions")
    waiting = submitted.json()["executionId"]
    await walk.ask("POST /api/executions", content=b"<plan/>", headers={"Content-Type": "application/xml"})
    await walk.ask("GET /api/executions")
    await walk.ask("GET /api/executions", query="?cursor=nonsense")
    await walk.ask("POST /api/executions/{execution_id}/cancel", waiting)
    await walk.ask("POST /api/executions/{execution_id}/retry", waiting)
    job = (await walk.ask("GET /api/executions/{execution_id}", waiting)).json()["jobs"][0]["id"]
    await walk.ask("GET /api/jobs/{job_record_id}", job)
    await walk.ask("POST /api/jobs/{job_record_id}/cancel", job)
    await walk.ask("POST /api/jobs/{job_record_id}/retry", job)

    plan = {"jobs": [{"id": "film", "operation": "write", "params": {"text": "0123456789"}}]}
    ended = (await walk.ask("POST /api/executions", json=plan)).json()["executionId"]
    await walk.api.engine.start_worker()
    await walk.api.engine.ended(ended)
    execution = (await walk.ask("GET /api/executions/{execution_id}", ended)).json()
    for action in ("cancel", "retry"):
        await walk.ask(f"POST /api/executions/{{execution_id}}/{action}", ended)
        await walk.ask(f"POST /api/jobs/{{job_record_id}}/{action}", execution["jobs"][0]["id"])
    events = "GET /api/executions/{execution_id}/events"
    await walk.ask(events)
    await walk.ask(events, ended)
    await walk.ask(events, ended, headers={"Last-Event-ID": str(execution["lastEvent"])})
    for route, *values in (("logs", ended), ("jobs/{job_id}/logs", ended, "film")):
        await walk.ask(f"GET /api/executions/{{execution_id}}/{route}")
        await walk.ask(f"GET /api/executions/{{execution_id}}/{route}", *values)
        await walk.ask(f"GET /api/executions/{{execution_id}}/{route}", *values, headers={"Last-Event-ID": "999"},
                       query="?follow=true")  # fmt: skip
    artifact = execution["artifacts"][0]
    await walk.ask("GET /api/artifacts/{artifact_id}", artifact["artifactId"])
    await walk_file(walk, "GET /files/{artifact_id}", urlsplit(artifact["url"]).path.rpartition("/")[2])


async def walk_file(walk, route, name):
    """Get a file by signed URLs, without a key: whole, in part, unchanged, and beyond its end."""
    path = route.removeprefix("GET ").partition("{")[0]

    def signature(of):
        return sign_path(walk.api.runtime.key, path + of, expires=datetime.now(UTC) + timedelta(hours=1))

    whole = await walk.ask(route, name, query=signature(name), key=None)
    for headers in ({"Range": "bytes=0-3"}, {"Range": "bytes=999-"}, {"If-None-Match": whole.headers["etag"]}):
        await walk.ask(route, name, query=signature(name), key=None, headers=headers)
    await walk.ask(route, query=signature(NOTHING), key=None)
    await walk.ask(route, name, query="?expires=1&sig=forged", key=None)


async def walk_fleet_and_catalogs(walk):
    worker = (await walk.ask("GET /api/workers")).json()["workers"][0]
    await walk.ask("PATCH /api/workers/{worker_id}", worker["id"])
    await walk.ask("PATCH /api/queues/{name}", "test")
    await walk.ask("GET /api/operations/{name}", "noop")
    await walk.ask("GET /api/models/{model_id}", "bytedance/seedance-1-pro")


async def walk_uploads(walk):
    route = "PATCH /api/uploads/{upload_id}"
    upload = (await walk.ask("POST /api/uploads")).json()["id"]
    await walk.ask("GET /api/uploads/{upload_id}", upload)
    await walk.ask(route, upload, content=FILE, headers={"Upload-Offset": "50"})
    with walk.api.app.state.partial_uploads.exclusive(upload):
        await walk.ask("POST /api/uploads/{upload_id}/complete", upload)
    complete = (await walk.ask(route, upload, content=FILE)).json()
    await walk.ask("POST /api/uploads")
    await walk.ask("POST /api/uploads/{upload_id}/complete", upload)
    await walk_file(walk, "GET /files/uploads/{name}", complete["source"].rpartition("/")[2])


async def walk_videos(walk):
    created = (await walk.ask("POST /v1/videos")).json()["id"]
    await walk.ask("POST /v1/videos", content=b"<video/>", headers={"Content-Type": "application/xml"})
    await walk.ask("GET /v1/videos", query=f"?after=video_{NOTHING.replace('-', '')}")
    await until(lambda: is_completed(walk, created))
    content = "GET /v1/videos/{name}/content"
    whole = await walk.ask(content, created)
    for headers in ({"Range": "bytes=0-3"}, {"Range": "bytes=9999999-"}, {"If-None-Match": whole.headers["etag"]}):
        await walk.ask(content, created, headers=headers)
    await walk.ask(content, f"video_{NOTHING.replace('-', '')}")
    await walk.ask("GET /v1/videos")
    await walk.ask("DELETE /v1/videos/{name}", created)


async def is_completed(walk, video):
    return (await walk.ask("GET /v1/videos/{name}", video)).json()["status"] == "completed"


async def walk_provider_webhooks(walk, settings, catalog, fake):
    """A provider sends the webhook of a task to the URL that it got."""
    public = settings.model_copy(update={"port": 0, "public_url": "https://sheet.example"})
    async with served(public, catalog, providers=[fake]) as api:
        await api.engine.start_worker()
        plan = {"jobs": [{"id": "a", "operation": "draw"}]}
        await walk.ask("POST /api/executions", json=plan, client=api.client, headers={"Host": "sheet.example"})
        [request] = await until(fake.requests)
        url = urlsplit(request["webhook"])
        for query in (f"?{url.query}", "?token=" + "x" * 201):
            await walk.ask(
                "POST /api/webhooks/jobs/{job_record_id}", url.path.rpartition("/")[2], query=query, key=None,
                client=api.client, headers={SIGNATURE: "right"},
                json={"id": request["id"], "message": "m-1", "status": "succeeded"},
            )  # fmt: skip


async def walk_slow_bodies(walk, monkeypatch):
    monkeypatch.setattr(body_limits, "_BODY_TIMEOUT", 0.05)
    upload = (await walk.ask("POST /api/uploads", json={**BODIES["POST /api/uploads"], "sha256": "0" * 64})).json()[
        "id"
    ]
    for route in walk.with_body:
        value = upload if "/uploads/" in route else NOTHING
        await walk.ask_raw(
            route, value, head="Content-Type: application/json\r\nContent-Length: 100", body=b"{", query="?token=x"
            if "/webhooks/" in route else "",
        )  # fmt: skip


async def walk_overload_and_outage(walk, monkeypatch):
    async def unavailable(*_, **__):
        raise ConnectionRefusedError

    monkeypatch.setattr(overload_middleware, "MAX_REQUESTS", 0)
    monkeypatch.setattr(Database, "retry", unavailable)
    monkeypatch.setattr(Database, "connection", unavailable)
    for route in walk.documented:
        await walk.ask(route)
