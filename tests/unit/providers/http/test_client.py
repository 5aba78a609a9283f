import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from files.web_servers import Handler, Request, Server, serve

from callsheet.domain.errors import (
    BadOutput,
    DiskFull,
    OutputExpired,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.providers.contract import Output
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.redaction import redact_message
from callsheet.providers.http.response import requested_delay
from callsheet.providers.http.transport import AuthHeaders, ClientLimits, static_headers
from callsheet.settings import Settings

KEY = "a-key-that-must-stay-secret"
BODY = b"film" * 50_000
SHORT_TIMEOUT = httpx2.Timeout(20, read=0.2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data")


@asynccontextmanager
async def provider(
    handler: Handler,
    settings: Settings,
    *,
    origins: frozenset[str] = frozenset(),
    auth: AuthHeaders | None = None,
    **limits: Any,
) -> AsyncIterator[tuple[ProviderClient, Server]]:
    """A server with this handler, and a client of it."""
    async with serve(handler) as server:
        hosts = ProviderHosts(server.url(""), origins=origins)
        http = ProviderClient(
            "acme",
            hosts,
            settings,
            auth=auth or key_headers(),
            limits=ClientLimits(**{"timeout": httpx2.Timeout(20), **limits}),
        )
        try:
            yield http, server
        finally:
            await http.close()


def key_headers() -> AuthHeaders:
    return static_headers(Authorization=f"Bearer {KEY}")


def answering(status: int, body: bytes = b"{}", **headers: str) -> Handler:
    async def answer(call: Request) -> None:
        await call.respond(status, body, **headers)

    return answer


async def hang(call: Request) -> None:
    await call.closing.wait()


async def hang_in_body(call: Request) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await call.closing.wait()


async def send_slowly(call: Request) -> None:
    """Send the body byte by byte: no step reaches a timeout."""
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not call.closing.is_set():
        await call.send(b" ")
        await asyncio.sleep(0.02)  # sleep: requests overlap


async def close(_: Request) -> None:
    return


async def close_in_head(call: Request) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Le")


async def close_in_body(call: Request) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def send_no_http(call: Request) -> None:
    await call.send(b"SSH-2.0-OpenSSH_9.2\r\n")


NO_ANSWER = {
    "late head": hang,
    "late body": hang_in_body,
    "cut": close,
    "cut in the head": close_in_head,
    "cut in the body": close_in_body,
    "no HTTP": send_no_http,
    "bad gzip": answering(200, b"no gzip at all", Content_Encoding="gzip"),
}


async def test_a_submission_returns_its_response(settings: Settings) -> None:
    async with provider(answering(201, b'{"id": "t1"}'), settings) as (http, server):
        answer = await http.submit("POST", "/v1/jobs", json={"prompt": "fox"}, headers={"X-More": "1"})

    assert (answer.status, answer.ok, answer.json()) == (201, True, {"id": "t1"})
    [call] = server.requests
    assert (call.path, call.body) == ("/v1/jobs", b'{"prompt":"fox"}')
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["x-more"] == "1"
    assert call.headers["user-agent"].startswith("callsheet/")


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER)
async def test_a_submission_without_a_response_is_unknown_and_not_repeated(settings: Settings, answer: Handler) -> None:
    async with provider(answer, settings, timeout=SHORT_TIMEOUT) as (http, server):
        with pytest.raises(SubmissionUnknown) as unknown:
            await http.submit("POST", "/v1/jobs", json={})

    assert unknown.value.facts["provider"] == "acme"
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER)
async def test_a_request_without_a_response_is_unreachable(settings: Settings, answer: Handler) -> None:
    async with provider(answer, settings, timeout=SHORT_TIMEOUT) as (http, server):
        with pytest.raises(ProviderUnreachable):
            await http.get("GET", "/v1/jobs/1")

    assert len(server.requests) == 1


async def test_a_slow_body_meets_the_response_timeout(settings: Settings) -> None:
    async with provider(send_slowly, settings, response_timeout=0.2) as (http, _):
        with pytest.raises(SubmissionUnknown, match="TimeoutError"):
            await http.submit("POST", "/v1/jobs")
        with pytest.raises(ProviderUnreachable):
            await http.get("GET", "/v1/jobs/1")


async def test_a_connection_cut_during_the_submission_is_unknown(settings: Settings) -> None:
    async def cut_while_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    listener = await asyncio.start_server(cut_while_reading, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        http = ProviderClient("acme", ProviderHosts(f"http://127.0.0.1:{port}"), settings, auth=key_headers())
        with pytest.raises(SubmissionUnknown):
            await http.submit("POST", "/v1/jobs", content=b" " * 20_000_000)
        await http.close()


async def test_a_refused_connection_is_unreachable(settings: Settings) -> None:
    async with serve(close) as server:
        base = server.url("")
    http = ProviderClient("acme", ProviderHosts(base), settings, auth=key_headers())

    with pytest.raises(ProviderUnreachable, match="cannot be reached"):
        await http.submit("POST", "/v1/jobs")
    with pytest.raises(ProviderUnreachable):
        await http.get("GET", "/v1/jobs/1")

    await http.close()


async def test_a_nonexistent_host_is_unreachable(settings: Settings) -> None:
    http = ProviderClient("acme", ProviderHosts("http://no-such-host.invalid"), settings, auth=key_headers())

    with pytest.raises(ProviderUnreachable):
        await http.submit("POST", "/v1/jobs")

    await http.close()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 451, 301, 307, 308])
async def test_these_statuses_are_rejections(settings: Settings, status: int) -> None:
    async with provider(answering(status, b'{"detail": "not like this"}', Location="/else"), settings) as (
        http,
        server,
    ):
        with pytest.raises(
            SubmissionRejected, match=f"acme rejected the submission: {status} not like this"
        ) as refused:
            await http.submit("POST", "/v1/jobs")

    assert refused.value.facts == {"status": status}
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [409, 425, 429])
async def test_an_error_with_a_task_id_is_unknown(settings: Settings, status: int) -> None:
    async with provider(answering(status, b'{"data": {"task_id": "t1"}, "message": "later"}'), settings) as (
        http,
        server,
    ):
        with pytest.raises(SubmissionUnknown, match=f"was {status} later, but it contains a task id: t1"):
            await http.submit("POST", "/v1/jobs", task_id_path=("data", "task_id"))
        with pytest.raises((SubmissionRejected, ProviderRateLimited)):
            await http.submit("POST", "/v1/jobs")

    assert len(server.requests) == 2


async def test_every_submission_uses_a_new_connection(settings: Settings) -> None:
    """A server can close an idle connection at the moment of its reuse."""
    connections = 0

    async def answer_the_first_request_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"id": "t1"}')
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(answer_the_first_request_only, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = ProviderClient("acme", ProviderHosts(f"http://127.0.0.1:{port}"), settings, auth=key_headers())

    await http.get("GET", "/v1/jobs/t0")
    answers = [await http.submit("POST", "/v1/jobs") for _ in range(2)]

    assert [answer.at("id") for answer in answers] == ["t1", "t1"]
    assert connections == 3
    await http.close()
    server.close()


@pytest.mark.parametrize("status", [302, 303, 408, 499, 500, 501, 502, 503, 504, 507, 520, 524, 529, 599])
async def test_these_statuses_are_unknown(settings: Settings, status: int) -> None:
    async with provider(answering(status, Retry_After="1"), settings) as (http, server):
        with pytest.raises(SubmissionUnknown) as unknown:
            await http.submit("POST", "/v1/jobs")

    assert unknown.value.facts == {"provider": "acme", "status": status}
    assert len(server.requests) == 1


IN_AN_HOUR = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
"""Computed at collection, which can be minutes before the test runs."""


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({}, None),
        ({"Retry_After": "30"}, 30),
        ({"Retry_After": " 30 "}, 30),
        ({"Retry_After": IN_AN_HOUR}, 3600),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "1500", "Retry_After": "30"}, 1.5),
        ({"retry_after_ms": "soon", "Retry_After": "30"}, 30),
        ({"Retry_After": "99999999999"}, 24 * 3600),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "when it pleases"}, None),
        ({"Retry_After": ""}, None),
    ],
)
@pytest.mark.parametrize("status", [425, 429])
async def test_a_rate_limit_has_the_requested_delay(
    settings: Settings, status: int, headers: dict[str, str], after: float | None
) -> None:
    async with provider(answering(status, b'{"detail": "slow down"}', **headers), settings) as (http, _):
        with pytest.raises(ProviderRateLimited, match="slow down") as ordered:
            await http.submit("POST", "/v1/jobs")
        with pytest.raises(ProviderRateLimited) as asked:
            await http.get("GET", "/v1/jobs/1")

    # The date was computed at collection.
    assert ordered.value.retry_after == (after if after != 3600 else pytest.approx(3600, abs=1800))
    assert asked.value.retry_after == (after if after != 3600 else pytest.approx(3600, abs=1800))


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_transient_error_has_the_requested_delay(settings: Settings, status: int) -> None:
    async with provider(answering(status, b"<html>", Retry_After="9"), settings) as (http, server):
        with pytest.raises(ProviderUnreachable, match=f"responded with {status}") as error:
            await http.get("GET", "/v1/jobs/1")

    assert error.value.retry_after == 9
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 202, 302, 400, 401, 404, 410, 422])
async def test_every_other_status_is_returned(settings: Settings, status: int) -> None:
    async with provider(answering(status, b'{"state": "x"}', Location="/else"), settings) as (http, server):
        assert (await http.get("GET", "/v1/jobs/1")).status == status

    assert len(server.requests) == 1


async def test_request_returns_errors_as_well(settings: Settings) -> None:
    async with provider(answering(504, b'{"error_type": "generation_timeout"}'), settings) as (http, _):
        answer = await http.request("GET", "/v1/jobs/1")

        assert answer.fields() == {"error_type": "generation_timeout"}
        with pytest.raises(ProviderUnreachable):
            http.raise_if_transient(answer)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[1]", b'"x"', b"{}", b"\xff", b"[" * 100_000])
async def test_a_body_without_an_object_is_an_error(settings: Settings, body: bytes) -> None:
    async with provider(answering(200, body), settings) as (http, _):
        answer = await http.get("GET", "/v1/jobs/1")

        assert answer.fields() == {}
        with pytest.raises(ProviderUnreachable, match="without a JSON object"):
            http.json_object(answer)
        with pytest.raises(SubmissionUnknown, match="contains no task id"):
            http.raise_unreadable_submission(answer)


async def test_a_too_large_response_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callsheet.providers.http.transport._MAX_BYTES", 100_000)

    async with provider(answering(200, b" " * 100_001), settings) as (http, _):
        with pytest.raises(SubmissionUnknown):
            await http.submit("POST", "/v1/jobs")
        with pytest.raises(ProviderUnreachable):
            await http.get("GET", "/v1/jobs/1")


async def test_a_decompression_bomb_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callsheet.providers.http.transport._MAX_BYTES", 100_000)
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 100_000

    async with provider(answering(200, bomb, Content_Encoding="gzip"), settings) as (http, _):
        with pytest.raises(ProviderUnreachable):
            await http.get("GET", "/v1/jobs/1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(settings: Settings, status: int) -> None:
    async with (
        serve(answering(200)) as stranger,
        provider(answering(status, Location=stranger.url("/steal")), settings) as (http, _),
    ):
        with pytest.raises((SubmissionRejected, SubmissionUnknown)):
            await http.submit("POST", "/v1/jobs")
        assert (await http.get("GET", "/v1/jobs/1")).status == status

    assert stranger.requests == []


async def test_the_key_is_sent_to_provider_origins_only(settings: Settings) -> None:
    async with (
        serve(answering(200)) as stranger,
        serve(answering(200)) as sister,
        provider(answering(200), settings, origins=frozenset({sister_origin(sister)})) as (http, server),
    ):
        for url in (stranger.url("/x"), "https://example.com/x", "ftp://127.0.0.1/x", "http://[", "://"):
            with pytest.raises(ProviderFailed) as error:
                await http.submit("POST", url)
            assert error.value.code == "foreign_host"
            with pytest.raises(ProviderFailed):
                await http.get("GET", url)
        await http.get("GET", sister.url("/x"))
        await http.get("GET", server.url("/x?logs=1"))

    assert stranger.requests == []
    assert [call.headers["authorization"] for call in (*sister.requests, *server.requests)] == [f"Bearer {KEY}"] * 2


def sister_origin(server: Server) -> str:
    return server.url("")


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://fal.run/x", True),
        ("https://queue.fal.run/x/y?z=1", True),
        ("https://queue.fal.run:443/x", True),
        ("http://queue.fal.run/x", False),
        ("https://queue.fal.run:8443/x", False),
        ("https://evilfal.run/x", False),
        ("https://fal.run.evil.com/x", False),
        ("https://fal.run@evil.com/x", False),
        ("https://evil.com/https://fal.run/", False),
        ("https://evil.com#fal.run", False),
        ("//fal.run/x", False),
        ("", False),
    ],
)
async def test_provider_hosts_are_distinguished_from_others(settings: Settings, url: str, own: bool) -> None:
    http = ProviderClient(
        "fal",
        ProviderHosts("https://queue.example.com", domains=frozenset({"fal.run"})),
        settings,
        auth=key_headers(),
    )

    assert http.is_provider_host(url) is own

    await http.close()


async def test_a_repeated_key_is_removed_from_an_error(settings: Settings) -> None:
    body = f'{{"detail": "Invalid token {KEY}, sent with https://acme.example/hook?token=ours and so on"}}'

    async with provider(answering(401, body.encode()), settings) as (http, _):
        with pytest.raises(SubmissionRejected) as refused:
            await http.submit("POST", "/v1/jobs")

    message = refused.value.message
    assert KEY not in message and "token=ours" not in message
    assert "Invalid token ..., sent with https://acme.example/hook and so on" in message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail": "no\\n  room"}', "422 no room"),
        (
            b'{"detail": [{"loc": ["body"], "msg": "too long", "type": "x"}, {"msg": "too wide"}]}',
            "422 too long; too wide",
        ),
        (b'{"error": {"code": "bad", "message": "no such model"}}', "422 no such model"),
        (b'{"error": "plain"}', "422 plain"),
        (b'{"title": "A title"}', "422 A title"),
        (b'{"message": "m", "code": 1303}', "422 m"),
        (b"<html>Bad</html>", "422"),
        (b'{"detail": null}', "422"),
        (b'{"detail": "' + b"x" * 5000 + b'"}', "422 " + "x" * 300),
    ],
)
async def test_the_reason_of_a_rejection_is_reported(settings: Settings, body: bytes, words: str) -> None:
    async with provider(answering(422, body), settings) as (http, _):
        with pytest.raises(SubmissionRejected) as refused:
            await http.submit("POST", "/v1/jobs")

    assert refused.value.message == f"acme rejected the submission: {words}"


async def test_concurrent_requests_are_limited(settings: Settings) -> None:
    under_way = most = 0

    async def answer(call: Request) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)  # sleep: requests overlap
        under_way -= 1
        await call.respond(200, b"{}")

    async with provider(answer, settings, concurrency=3) as (http, server):
        await asyncio.gather(*(http.get("GET", f"/{number}") for number in range(12)))

    assert (most, len(server.requests)) == (3, 12)


async def test_submissions_have_a_rate_limit_of_their_own(settings: Settings) -> None:
    async with provider(answering(200), settings, submits_per_second=0.01) as (http, server):
        await http.submit("POST", "/first")
        second = asyncio.create_task(http.submit("POST", "/second"))
        await http.get("GET", "/question")

        assert [call.path for call in server.requests] == ["/first", "/question"]
        second.cancel()


async def test_requests_have_a_rate_limit(settings: Settings) -> None:
    async with provider(answering(200), settings, requests_per_second=20) as (http, _):
        begin = time.monotonic()
        await asyncio.gather(*(http.get("GET", "/v1/jobs/1") for _ in range(5)))

    assert time.monotonic() - begin >= 0.2


async def test_without_auth_headers_nothing_is_sent(settings: Settings) -> None:
    async def no_key() -> dict[str, str]:
        raise ProviderUnreachable("The token could not be renewed")

    async with provider(answering(200), settings, auth=no_key) as (http, server):
        with pytest.raises(ProviderUnreachable, match="renewed"):
            await http.submit("POST", "/v1/jobs")

    assert server.requests == []


# Downloads


def contents(path: Path) -> bytes:
    return path.read_bytes()


async def whole(call: Request) -> None:
    await call.respond(200, BODY, Content_Type="video/mp4")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "arriving"
    folder.mkdir()
    return folder / "video.mp4"


async def test_a_file_of_the_provider_is_downloaded(settings: Settings, target: Path) -> None:
    async with provider(whole, settings) as (http, server):
        await http.download(server.url("/video.mp4?sig=1"), target)
        assert contents(target) == BODY
        await http.download(server.url("/video.mp4"), target, with_key=True)

    assert "authorization" not in server.requests[0].headers
    assert server.requests[1].headers["authorization"] == f"Bearer {KEY}"


async def lie_short(call: Request) -> None:
    await call.respond(200, BODY, Content_Length=str(len(BODY) + 1))


NOT_WHOLE: dict[str, Handler] = {
    **{name: answer for name, answer in NO_ANSWER.items() if name != "no HTTP"},
    "shorter than declared": lie_short,
    "503": answering(503),
    "429": answering(429),
    "408": answering(408),
}


@pytest.mark.parametrize("answer", NOT_WHOLE.values(), ids=NOT_WHOLE)
async def test_an_incomplete_download_leaves_no_file(settings: Settings, target: Path, answer: Handler) -> None:
    async with provider(answer, settings, timeout=SHORT_TIMEOUT) as (http, server):
        with pytest.raises(ProviderUnreachable) as error:
            await http.download(server.url("/video.mp4?sig=secret"), target)

    assert "secret" not in error.value.message
    assert list(target.parent.iterdir()) == []


async def test_a_file_ends_at_its_declared_length(settings: Settings, target: Path) -> None:
    """The HTTP client ignores the rest; the probe checks the file later."""
    async with provider(answering(200, BODY, Content_Length="1000"), settings) as (http, server):
        await http.download(server.url("/video.mp4"), target)

    assert contents(target) == BODY[:1000]


async def test_requests_do_not_wait_for_downloads(settings: Settings, target: Path) -> None:
    going = asyncio.Event()

    async def answer(call: Request) -> None:
        if call.path == "/question":
            await call.respond(200)
            return
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        going.set()
        await call.closing.wait()

    async with provider(answer, settings, concurrency=1) as (http, server):
        download = asyncio.create_task(http.download(server.url("/video.mp4"), target))
        await going.wait()
        async with asyncio.timeout(10):
            assert (await http.get("GET", "/question")).ok
        download.cancel()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
async def test_a_refused_file_is_expired(settings: Settings, target: Path, status: int) -> None:
    async with provider(answering(status, b""), settings) as (http, server):
        with pytest.raises(OutputExpired, match=str(status)):
            await http.download(server.url("/video.mp4"), target)

    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_file_above_the_size_limit_is_not_downloaded(tmp_path: Path, target: Path, encoding: str) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, source_max_bytes=100_000)
    body = gzip.compress(BODY) if encoding else BODY
    headers = {"Content_Encoding": encoding} if encoding else {}

    async with provider(answering(200, body, **headers), settings) as (http, server):
        with pytest.raises(OutputExpired, match="100,000"):
            await http.download(server.url("/video.mp4"), target)

    assert list(target.parent.iterdir()) == []


async def test_a_slow_download_meets_its_timeout(tmp_path: Path, target: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, source_timeout=timedelta(seconds=0.2))

    async with provider(send_slowly, settings) as (http, server):
        with pytest.raises(ProviderUnreachable):
            await http.download(server.url("/video.mp4"), target)

    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/video.mp4",
        "https://replicate.delivery.evil.com/video.mp4",
        "https://evilreplicate.delivery/video.mp4",
        "https://replicate.delivery@evil.com/video.mp4",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "/etc/passwd",
        "http://[::1",
        "",
    ],
)
async def test_files_on_foreign_hosts_are_not_downloaded(settings: Settings, target: Path, url: str) -> None:
    async with provider(whole, settings) as (http, _):
        with pytest.raises(ProviderFailed) as error:
            await http.download(url, target, hosts=frozenset({"replicate.delivery"}))

    assert error.value.code == "foreign_host"


@pytest.mark.parametrize(
    "url", ["http://cdn.localhost/video.mp4", "https://localhost/video.mp4", "https://cdn.localhost:6379/video.mp4"]
)
async def test_known_hosts_are_subject_to_the_rules_for_sources(settings: Settings, target: Path, url: str) -> None:
    """HTTPS, public addresses and default ports only."""
    async with provider(whole, settings) as (http, _):
        with pytest.raises((OutputExpired, ProviderUnreachable)):
            await http.download(url, target, hosts=frozenset({"localhost"}))


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/x",
        "http://10.0.0.1/x",
        "https://169.254.169.254/x",
        "https://[::1]/x",
        "file:///etc/passwd",
        "http://[",
    ],
)
async def test_a_redirect_to_a_private_address_is_not_followed(settings: Settings, target: Path, location: str) -> None:
    async with provider(answering(302, Location=location), settings) as (http, server):
        with pytest.raises(OutputExpired):
            await http.download(server.url("/video.mp4"), target, with_key=True)

    assert list(target.parent.iterdir()) == []


async def test_a_redirect_to_another_host_has_no_key(tmp_path: Path, target: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, allow_http=True, allow_private_addresses=True)

    async with serve(whole) as elsewhere:

        async def answer(call: Request) -> None:
            hops = {"/film": "/film2", "/film2": elsewhere.url("/fake")}
            await call.respond(302, Location=hops[call.path])

        async with provider(answer, settings) as (http, server):
            await http.download(server.url("/film"), target, with_key=True)

    assert contents(target) == BODY
    assert [call.path for call in server.requests] == ["/film", "/film2"]
    assert all(call.headers["authorization"] == f"Bearer {KEY}" for call in server.requests)
    assert "authorization" not in elsewhere.requests[0].headers


async def test_redirects_are_limited(settings: Settings, target: Path) -> None:
    async with provider(answering(302, Location="/again"), settings) as (http, server):
        with pytest.raises(OutputExpired, match="more than 5 times"):
            await http.download(server.url("/again"), target)

    assert len(server.requests) <= 6


async def test_a_full_disk_is_reported(settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    async with provider(whole, settings) as (http, server):
        monkeypatch.setattr("callsheet.files.atomic_write._write", full)
        with pytest.raises(DiskFull):
            await http.download(server.url("/video.mp4"), target)


async def test_an_inline_output_is_written(settings: Settings, target: Path) -> None:
    async with provider(whole, settings) as (http, server):
        assert (await http.fetch(Output(inline=BODY), target)).read_bytes() == BODY
        with pytest.raises(OutputExpired):
            await http.fetch(Output(), target)

    assert server.requests == []


@pytest.mark.parametrize("status", [202, 204, 206])
async def test_a_success_without_the_complete_file_is_a_bad_output(
    settings: Settings, target: Path, status: int
) -> None:
    async with provider(answering(status, b""), settings) as (http, server):
        with pytest.raises(BadOutput, match=f"responded with status {status} without the complete file"):
            await http.fetch(Output(url=server.url("/a.mp4")), target)


async def test_an_empty_file_is_a_bad_output(settings: Settings, target: Path) -> None:
    async with provider(answering(200, b""), settings) as (http, server):
        for output in (Output(url=server.url("/a.mp4?sig=hidden")), Output(inline=b"")):
            with pytest.raises(BadOutput, match="acme returned an empty file") as error:
                await http.fetch(output, target)
            assert "hidden" not in error.value.message
            assert not await asyncio.to_thread(target.exists)

    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_a_delay_is_at_most_a_day(digits: int) -> None:
    assert requested_delay({"retry-after-ms": "9" * digits}) == 24 * 3600


@pytest.mark.parametrize(
    ("reported", "seconds"),
    [("0", 0), ("1500.5", 1.5005), (" 20 ", 0.02), ("-1", 7), ("nan", 7), ("inf", 7), ("1e3", 7), ("\u0662", 7)],
)
def test_milliseconds_must_be_digits(reported: str, seconds: float) -> None:
    assert requested_delay({"retry-after-ms": reported, "retry-after": "7"}) == pytest.approx(seconds)


def test_urls_in_messages_lose_their_secrets() -> None:
    text = 'failed: "https://user:word@h.example:8443/a?key=1" and http://x.example/y#z;'

    assert redact_message(text) == 'failed: "https://h.example:8443/a" and http://x.example/y'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "no path /m?fal_webhook=https%3A%2F%2Fh.example%2Fjob%2F1%3Ftoken%3Dhidden here",
            "no path /m?fal_webhook=https%3A%2F%2Fh.example%2Fjob%2F1%3Ftoken%3D... here",
        ),
        (r'{"webhook":"https:\/\/h.example\/1?token=hidden"}', r'{"webhook":"https:\/\/h.example\/1?token=..."}'),
        ("HTTPS://h.example/1?token=hidden", "https://h.example/1"),
        ("at most 5 tokens = 5 words", "at most 5 tokens = 5 words"),
    ],
)
def test_tokens_are_removed_in_every_encoding(text: str, left: str) -> None:
    assert redact_message(text) == left
