import asyncio
import gzip
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest

from callsheet.domain.errors import BadSource, CallsheetError, SourceUnreachable
from callsheet.files.fetch import fetch, parse_retry_after, redact_url
from callsheet.files.ssrf_guard import guarded_client
from callsheet.settings import Settings

from .conftest import MakeSettings
from .web_servers import Handler, RedirectingBackend, Request, Server, serve

BODY = os.urandom(3_000_000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
async def short_timeout_client(permissive_settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with guarded_client(permissive_settings, timeout=0.3) as client:
        yield client


async def send_body(request: Request) -> None:
    await request.respond(body=BODY, Content_Type="video/mp4; codecs=avc1")


def responding(status: int, **headers: str) -> Handler:
    async def handle(request: Request) -> None:
        await request.respond(status, b"no", **headers)

    return handle


def contents(path: Path) -> bytes:
    return path.read_bytes()


def leftovers(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir() if path.name.startswith(target.name)]


async def test_a_file_is_downloaded_and_progress_reported(permissive_settings: Settings, target: Path) -> None:
    reports: list[tuple[int, int | None]] = []

    async with serve(send_body) as server:
        fetched = await fetch(
            server.url("/a/clip.mp4?sig=1"), target, permissive_settings, on_progress=lambda *at: reports.append(at)
        )

    assert contents(target) == BODY
    assert (fetched.path, fetched.name, fetched.size) == (target, "clip.mp4", len(BODY))
    assert fetched.media_type == "video/mp4"
    assert [total for _, total in reports] == [len(BODY)] * len(reports)
    assert [done for done, _ in reports] == sorted({done for done, _ in reports}) and reports[-1][0] == len(BODY)
    assert leftovers(target) == ["target"]
    assert server.requests[0].path == "/a/clip.mp4?sig=1"
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/My%20%22clip%22%20%F0%9F%8E%AC.mp4", {}, 'My "clip" 🎬.mp4'),
        ("/it's", {"Content_Type": "image/png"}, "it's.png"),
        ("/", {"Content_Type": "video/mp4"}, "file.mp4"),
        ("/", {}, "file"),
        ("/x", {"Content_Disposition": 'attachment; filename="../../etc/pass wd.mov"'}, "etc-pass wd.mov"),
        ("/x", {"Content_Disposition": "attachment; filename*=UTF-8''%F0%9F%8E%AC.mov"}, "🎬.mov"),
        ("/..%2f..%2fx.mp4", {}, "x.mp4"),
    ],
)
async def test_the_file_name_is_taken_from_the_response_and_sanitized(
    permissive_settings: Settings, target: Path, path: str, headers: dict[str, str], name: str
) -> None:
    async with serve(responding(200, **headers)) as server:
        fetched = await fetch(server.url(path), target, permissive_settings)

    assert fetched.name == name


async def test_redirects_are_followed_without_credentials_or_referer(
    permissive_settings: Settings, target: Path
) -> None:
    async def handle(request: Request) -> None:
        hop = int(request.path.removeprefix("/"))
        await (send_body(request) if hop == 5 else request.respond(302, Location=f"/{hop + 1}"))

    async with serve(handle) as server:
        url = server.url("/0").replace("http://", "http://user:word@")
        assert (await fetch(url, target, permissive_settings)).size == len(BODY)

    assert server.requests[0].headers["authorization"].startswith("Basic ")
    assert all("authorization" not in request.headers for request in server.requests[1:])
    assert all("referer" not in request.headers for request in server.requests)


async def test_a_sixth_redirect_is_rejected(permissive_settings: Settings, target: Path) -> None:
    async with serve(responding(301, Location="/again")) as server:
        with pytest.raises(BadSource, match="more than 5 times"):
            await fetch(server.url(), target, permissive_settings)

    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::ffff:10.0.0.1]/"),
        *("http://2130706433/", "http://example.com:6379/", "file:///etc/passwd", "ftp://example.com/x"),
        *("gopher://example.com/", "https:///nohost", "http://[::1", "http://①②⑦.0.0.1/"),
    ],
)
async def test_a_redirect_to_a_blocked_address_is_rejected(
    make_settings: MakeSettings, target: Path, location: str
) -> None:
    settings = make_settings(allow_http=True)

    async def resolve(host: str, port: int) -> list[str]:
        if host == "example.com":
            return ["93.184.216.34"]
        loop = asyncio.get_running_loop()
        return [str(found[4][0]) for found in await loop.getaddrinfo(host, port)]

    async def redirect(request: Request) -> None:
        await request.send(f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n".encode())

    async with serve(redirect) as server:
        wire = RedirectingBackend(server.port)
        async with guarded_client(settings, resolve=resolve, backend=wire) as client:
            with pytest.raises(BadSource):
                await fetch("http://example.com/x", target, settings, client=client)

    assert wire.connected == [("93.184.216.34", 80)]
    assert leftovers(target) == []


async def test_a_redirect_from_https_to_http_is_rejected(settings: Settings, target: Path) -> None:
    def redirect(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"Location": "http://example.com/x?key=secret"})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(redirect)) as client:
        with pytest.raises(BadSource, match="not https://") as caught:
            await fetch("https://example.com/x", target, settings, client=client)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "http://example.com/x"])
async def test_plain_http_is_rejected_unless_allowed(settings: Settings, target: Path, url: str) -> None:
    with pytest.raises(BadSource, match="not https://"):
        await fetch(url, target, settings)


async def test_a_private_address_is_rejected(settings: Settings, target: Path) -> None:
    with pytest.raises(BadSource, match="private or local"):
        await fetch("https://localhost/x", target, settings)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_above_the_limit_is_rejected(make_settings: MakeSettings, target: Path, announced: bool) -> None:
    settings = make_settings(allow_private_addresses=True, allow_http=True, source_max_bytes=1_000_000)

    async def handle(request: Request) -> None:
        if announced:
            await request.respond(body=BODY)
            return
        await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not request.closing.is_set():
            await request.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    async with serve(handle) as server:
        with pytest.raises(BadSource, match=r"limit of 1,000,000 bytes"):
            await fetch(server.url(), target, settings)

    assert leftovers(target) == []


async def test_a_body_of_exactly_the_limit_is_accepted(make_settings: MakeSettings, target: Path) -> None:
    settings = make_settings(allow_private_addresses=True, allow_http=True, source_max_bytes=len(BODY))

    async with serve(send_body) as server:
        assert (await fetch(server.url(), target, settings)).size == len(BODY)


async def test_a_gzip_bomb_is_limited_by_its_decompressed_size(make_settings: MakeSettings, target: Path) -> None:
    settings = make_settings(allow_private_addresses=True, allow_http=True, source_max_bytes=1_000_000)
    bomb = gzip.compress(bytes(200_000_000), 9)
    assert len(bomb) < 1_000_000

    async def handle(request: Request) -> None:
        await request.respond(body=bomb, Content_Encoding="gzip")

    async with serve(handle) as server:
        with pytest.raises(BadSource, match="limit of 1,000,000 bytes"):
            await fetch(server.url(), target, settings)

    assert leftovers(target) == []


async def test_a_gzipped_body_is_decompressed(permissive_settings: Settings, target: Path) -> None:
    async def handle(request: Request) -> None:
        await request.respond(body=gzip.compress(b"1\n00:00 --> 00:01\nhello"), Content_Encoding="gzip")

    async with serve(handle) as server:
        await fetch(server.url("/a.srt"), target, permissive_settings)

    assert contents(target) == b"1\n00:00 --> 00:01\nhello"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
async def test_an_unsupported_encoding_is_rejected(permissive_settings: Settings, target: Path, encoding: str) -> None:
    async with serve(responding(200, Content_Encoding=encoding)) as server:
        with pytest.raises(BadSource, match="unsupported Content-Encoding"):
            await fetch(server.url(), target, permissive_settings)


async def cut_off(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 5000)


async def cut_off_in_a_chunk(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\nxxx")


async def broken_gzip(request: Request) -> None:
    await request.respond(body=b"this is not gzip", Content_Encoding="gzip")


async def not_http(request: Request) -> None:
    await request.send(b"SSH-2.0-OpenSSH_9.6\r\n")


async def send_nothing(request: Request) -> None:
    return


@pytest.mark.parametrize("handler", [cut_off, cut_off_in_a_chunk, broken_gzip, not_http, send_nothing])
async def test_a_truncated_body_is_discarded(permissive_settings: Settings, target: Path, handler: Handler) -> None:
    async with serve(handler) as server:
        with pytest.raises(SourceUnreachable, match="closed the connection"):
            await fetch(server.url(), target, permissive_settings)

    assert leftovers(target) == []


async def hang_at_once(request: Request) -> None:
    await request.closing.wait()


async def hang_in_the_middle(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
    await request.closing.wait()


@pytest.mark.parametrize("handler", [hang_at_once, hang_in_the_middle])
async def test_a_hanging_server_times_out(
    permissive_settings: Settings, short_timeout_client: httpx2.AsyncClient, target: Path, handler: Handler
) -> None:
    async with serve(handler) as server:
        with pytest.raises(SourceUnreachable, match="did not respond in time"):
            await fetch(server.url(), target, permissive_settings, client=short_timeout_client)

    assert leftovers(target) == []


async def test_a_slow_transfer_ends_at_the_time_limit(make_settings: MakeSettings, target: Path) -> None:
    settings = make_settings(allow_private_addresses=True, allow_http=True, source_timeout=0.5)

    async def drip(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not request.closing.is_set():
            await request.send(b"x")
            await asyncio.sleep(0.02)

    async with serve(drip) as server:
        started = time.monotonic()
        with pytest.raises(SourceUnreachable, match=r"within 0\.5 seconds"):
            await fetch(server.url(), target, settings)

    assert time.monotonic() - started < 3
    assert leftovers(target) == []


async def test_a_cancelled_download_leaves_no_file(permissive_settings: Settings, target: Path) -> None:
    receiving = asyncio.Event()
    async with serve(hang_in_the_middle) as server:
        download = fetch(server.url(), target, permissive_settings, on_progress=lambda *_: receiving.set())
        task = asyncio.create_task(download)
        await asyncio.wait_for(receiving.wait(), 5)
        assert leftovers(target) == ["target.part"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert leftovers(target) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 304])
async def test_a_client_error_is_permanent(permissive_settings: Settings, target: Path, status: int) -> None:
    async with serve(responding(status)) as server:
        with pytest.raises(BadSource, match=str(status)):
            await fetch(server.url(), target, permissive_settings)


@pytest.mark.parametrize("status", [202, 204, 206, 408, 425, 429, 500, 502, 503, 504])
async def test_a_busy_server_is_a_temporary_failure(permissive_settings: Settings, target: Path, status: int) -> None:
    async with serve(responding(status, Retry_After="42")) as server:
        with pytest.raises(SourceUnreachable, match=str(status)) as caught:
            await fetch(server.url(), target, permissive_settings)

    assert caught.value.retry_after == 42


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("99999999999", 86400),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("1" * 5000, None),
        ("1.5", 1.5),
        ("1e3", None),
        ("nan", None),
    ],
)
def test_retry_after_in_seconds_is_parsed(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_retry_after_as_a_date_is_parsed() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert parse_retry_after(later) == pytest.approx(90, abs=2)
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


async def test_an_unreachable_server_is_a_temporary_failure(permissive_settings: Settings, target: Path) -> None:
    async with serve(send_body) as server:
        gone = server.url()

    with pytest.raises(SourceUnreachable, match="cannot be reached"):
        await fetch(gone, target, permissive_settings)
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        await fetch("http://nowhere.invalid/x", target, permissive_settings)


@pytest.mark.parametrize(
    "url",
    ["https://", "https:///x", "https://[::1", "https://exa mple.com", "https://a\x00b", "https://a:99999999/", "x"],
)
async def test_a_malformed_url_is_rejected(permissive_settings: Settings, target: Path, url: str) -> None:
    with pytest.raises(CallsheetError):
        await fetch(url, target, permissive_settings)


async def failure_message(server: Server, target: Path, settings: Settings) -> str:
    url = server.url("/clip.mp4?token=secret1#secret2").replace("http://", "http://user:secret3@")
    with pytest.raises(CallsheetError) as caught:
        await fetch(url, target, settings)
    return str(caught.value)


@pytest.mark.parametrize(
    "handler", [responding(404, X="secret4"), responding(500), cut_off, responding(302, Location="ftp://x/?secret5")]
)
async def test_messages_contain_no_secrets(permissive_settings: Settings, target: Path, handler: Handler) -> None:
    async with serve(handler) as server:
        message = await failure_message(server, target, permissive_settings)

    assert "secret" not in message and "://" in message


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://user:word@example.com:8443/a?b=c#d", "https://example.com:8443/a"),
        ("https://[2606:2800::1]/a", "https://[2606:2800::1]/a"),
        ("https://[::1", "The URL"),
    ],
)
def test_secrets_in_a_url_are_redacted(url: str, text: str) -> None:
    assert redact_url(url) == text
