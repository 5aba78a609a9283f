"""Hostile values in every part of every request: a clear error, never a 500."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from callsheet.api import body_limits
from callsheet.api.problems import MEDIA_TYPE
from callsheet.testing.waiters import until

TEXTS = (
    "\0",
    "\ud800",
    "a\r\nX-Injected: 1",
    "[",
    "http://[",
    "' OR 1=1 --",
    "%00",
    "../../etc/passwd",
    "${a.b}",
    "-1",
    "1e999",
    "NaN",
    str(2**63),
    str(10**400),
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "é" * 300,
    "",
)
VALUES: tuple[Any, ...] = (
    *("\0", "\ud800", "a\r\nb", "", "x" * 5000),
    *(-1, 0, 2**31, 2**63, 10**400, 1.5, -0.0, True, None),
    *([], {}, [[]], [None], {"\0": 1}),
)
HEADERS = {
    "Host": ("[", "a:b:c", "127.0.0.1:99999", "\x7f"),
    "Origin": ("http://[", "null", "http://", "\x7f"),
    "Content-Type": ("application/json; charset=\x7f", "multipart/form-data", "a/b/c", "*"),
    "Idempotency-Key": ("\x7f", "x" * 300),
    "Range": ("bytes=9-1", "bytes=a-b", "bytes=99999999999999999999-"),
    "Last-Event-ID": ("-1", "1e9", str(2**70), "x"),
    "Accept": ("text/html", "text/event-stream", "*/*;q=x"),
    "Authorization": ("Bearer", "Bearer \x7f", "Basic !!"),
    "Cookie": ("callsheet_session=1.2.3", "callsheet_session=\x7f"),
    "X-Request-ID": ("a\tb", "x" * 500),
}
_TIMEOUT = 20
"""Seconds for one request of a walk over all routes."""
ID = "019ab1f0-5c3e-7a10-9d7e-0f4b3c2d1e00"


class Routes:
    """The routes of the OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self.all = [
            (method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if method in ("get", "post", "patch", "delete", "put")
        ]

    def url(self, path: str, **values: str) -> str:
        """Return a path whose parameters have these values; others are valid ids of nothing."""
        return re.sub(
            r"\{(\w+)\}", lambda match: quote(values.get(match[1], ID), safe="", errors="surrogatepass"), path
        )

    def hostile_urls(self) -> Iterator[tuple[str, str]]:
        for method, path, operation in self.all:
            if "/events" in path or "/logs" in path:
                continue  # streams without an end
            names = re.findall(r"\{(\w+)\}", path)
            for text in TEXTS:
                yield from ((method, self.url(path, **{name: text})) for name in names)
                value = quote(text, safe="", errors="surrogatepass")
                for parameter in operation.get("parameters", ()):
                    if parameter["in"] == "query":
                        yield method, f"{self.url(path)}?{parameter['name']}={value}"

    def hostile_bodies(self) -> Iterator[tuple[str, str, Any]]:
        for method, path, operation in self.all:
            content = operation.get("requestBody", {}).get("content", {})
            schema = self._resolve(content.get("application/json", {}).get("schema", {}))
            if not content:
                continue
            for value in VALUES:
                yield method, self.url(path), value
                for name in schema.get("properties", ()):
                    yield method, self.url(path), {name: value}

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        for option in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
            if "$ref" in option:
                return self._document["components"]["schemas"][option["$ref"].rpartition("/")[2]]
        return schema


@pytest.fixture
async def routes(api) -> Routes:
    return Routes((await api.client.get("/openapi.json")).json())


async def fault_of_request(api, method: str, url: str, **options: Any) -> str | None:
    """Send a request and return what is wrong with its response, or None.

    The limit is for the whole response: a stream that pings would never reach the limit of the client for one piece.
    """
    try:
        async with asyncio.timeout(_TIMEOUT):
            return fault_of(await api.client.request(method, url, follow_redirects=False, **options))
    except TimeoutError:
        return f"no complete response within {_TIMEOUT} seconds"


def fault_of(response: Any) -> str | None:
    """Return what is wrong with a response, or None."""
    # What is not configured says so, whatever is asked.
    if response.status_code >= 500 and b'"code":"not_configured"' not in response.content:
        return f"{response.status_code} {response.text[:200]}"
    if "x-injected" in response.headers:
        return "a header was injected"
    if response.status_code < 400:
        return None
    if "/v1/" in str(response.url):
        return None if "error" in response.json() else f"no error object: {response.text[:200]}"
    kind = response.headers.get("content-type", "")
    return None if kind.startswith((MEDIA_TYPE, "text/html")) else f"{response.status_code} as {kind!r}"


async def test_hostile_paths_and_queries(api, routes):
    faults = []
    for method, url in routes.hostile_urls():
        if (fault := await fault_of_request(api, method, url)) is not None:
            faults.append(f"{method} {url[:150]}: {fault}")
    assert faults == []


async def test_a_walk_ends_at_a_response_without_an_end(api, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "_TIMEOUT", 0.2)
    monkeypatch.setattr(api.client, "request", lambda *_, **__: asyncio.Event().wait())
    assert await fault_of_request(api, "GET", "/endless") == "no complete response within 0.2 seconds"


async def test_hostile_bodies(api, routes):
    faults = []
    for method, url, body in routes.hostile_bodies():
        text = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if (fault := await fault_of_request(api, method, url, content=text, headers=headers)) is not None:
            faults.append(f"{method} {url[:150]} {text[:100]!r}: {fault}")
    assert faults == []


async def test_hostile_headers(api, routes):
    faults = []
    for name, values in HEADERS.items():
        for value in values:
            for method, url in (
                ("GET", "/api/executions"),
                ("POST", "/api/executions"),
                ("GET", "/"),
                ("GET", "/nope"),
            ):
                if (fault := await fault_of_request(api, method, url, headers={name: value})) is not None:
                    faults.append(f"{method} {url} {name}: {value!r}: {fault}")
    assert faults == []


async def raw(api, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.client.base_url.port)
    writer.write(request)
    try:
        async with asyncio.timeout(15):
            return await reader.read()
    finally:
        writer.close()


async def test_two_ways_to_state_the_length_are_rejected(api):
    response = await raw(
        api,
        b"POST /api/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n0\r\n\r\n",
    )

    assert response.startswith(b"HTTP/1.1 400")


async def test_a_small_form_has_a_small_limit(api):
    response = await api.client.post("/login", content=b"key=" + b"x" * 100_000)

    assert response.status_code == 413


async def test_every_response_has_security_headers(api):
    for path in ("/", "/nope", "/api/executions", "/login", "/health", "/docs"):
        for accept in ("text/html", "application/json"):
            response = await api.client.get(path, headers={"Accept": accept}, follow_redirects=False)
            assert "content-security-policy" in response.headers, path
            assert response.headers["x-content-type-options"] == "nosniff", path


@pytest.fixture
async def impatient(served_with):
    """A server that waits a fifth of a second for the head of a request."""
    async with served_with(head_timeout=timedelta(seconds=0.2)) as api:
        yield api


async def test_a_head_that_never_ends_is_cut(impatient):
    response = await raw(impatient, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")

    assert response == b""


async def test_an_idle_connection_after_a_response_is_kept_until_the_next_request(impatient):
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.client.base_url.port)
    for _ in range(2):
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
        await reader.readexactly(length)
        await asyncio.sleep(0.4)  # sleep: longer than the limit of a head
    writer.close()


async def test_a_body_that_drips_ends_with_408(api, monkeypatch):
    monkeypatch.setattr(body_limits, "_BODY_TIMEOUT", 0.2)

    response = await raw(
        api, b"POST /api/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{"
    )

    assert response.startswith(b"HTTP/1.1 408")
    assert b'"body_timeout"' in response


async def test_connections_beyond_the_limit_are_closed(served_with):
    async with served_with(max_connections=3) as api:
        held = [await asyncio.open_connection("127.0.0.1", api.client.base_url.port) for _ in range(3)]

        response = await raw(api, b"")

        assert response.startswith(b"HTTP/1.1 503")
        for _, writer in held:
            writer.close()


async def test_one_address_does_not_take_all_connections(served_with, monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1")
    async with served_with(max_connections_per_address=2) as api:

        def connect(address):
            port = api.client.base_url.port
            return asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))

        held = [await connect("127.0.0.2") for _ in range(2)]

        reader, refused = await connect("127.0.0.2")

        assert (await reader.read()).startswith(b"HTTP/1.1 503")
        for address in ("127.0.0.3", "127.0.0.1", "127.0.0.1", "127.0.0.1"):  # another client; a trusted proxy
            assert await _is_answered(*await connect(address))
        for _, writer in (*held, (reader, refused)):
            writer.close()
            await writer.wait_closed()
        await until(lambda: all(each.client[0] != "127.0.0.2" for each in api.server.server_state.connections))
        assert await _is_answered(*await connect("127.0.0.2"))


async def _is_answered(reader, writer):
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    response = await reader.read()
    writer.close()
    return response.startswith(b"HTTP/1.1 200")


async def test_beyond_its_capacity_the_server_says_when_to_retry_and_stays_alive(served_with):
    async with served_with(max_requests=2) as api:
        port = api.client.base_url.port
        unfinished = b"POST /api/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n{"
        held = []
        for _ in range(2):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(unfinished)
            held.append(writer)
        await until(lambda: api.server.server_state.tasks and len(api.server.server_state.tasks) >= 2)

        response = await api.client.get("/api/queues")

        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert (await api.client.get("/health")).status_code == 200
        for writer in held:
            writer.close()


async def test_large_bodies_together_are_limited(served_with):
    async with served_with(max_body_bytes_in_progress=600) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.client.base_url.port)
        writer.write(b"POST /api/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n{")
        await until(lambda: len(api.server.server_state.tasks) >= 1)

        response = await api.client.post("/api/executions", content=b"{" + b" " * 400)

        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        writer.close()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://", "bad_url"),
        ("ftp://example.com/x", "bad_url"),
        ("https://example.com:0/x", "bad_url"),
        ("https://example.com:99999/x", "bad_url"),
        ("https://exa mple.com/x", "bad_url"),
        ("https://me:pw@example.com/x", "credentials_in_url"),
        ("https://example.com/x#part", "bad_url"),
        ("https://127.0.0.1/x", "private_address"),
        ("https://localhost/x", "private_address"),
        ("https://intranet/x", "private_address"),
        ("https://[::1]/x", "private_address"),
        ("http://example.com/x", "not_https"),
    ],
)
async def test_a_callback_url_that_can_never_be_called_is_refused(api, url, code):
    plan = {"jobs": [{"id": "a", "operation": "noop"}]}

    response = await api.client.post("/api/executions", json={"executionPlan": plan, "callbackUrl": url})

    assert response.status_code == 422
    assert [problem["path"] for problem in response.json()["errors"]] == ["callbackUrl"]
    assert response.json()["errors"][0]["code"] == code


async def test_requests_without_a_key_do_not_take_the_room_of_others(served_with):
    async with served_with(max_requests=1) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.client.base_url.port)
        writer.write(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\nkey=")
        await until(lambda: len(api.server.server_state.tasks) >= 1)

        assert (await api.client.get("/api/executions")).status_code == 200
        writer.close()
