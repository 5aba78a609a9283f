import asyncio
import hashlib
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, CallsheetError, NotFound, StorageRejected, StorageUnreachable
from callsheet.domain.ids import new_id
from callsheet.domain.media_source import MediaSource
from callsheet.files.cache import FileCache
from callsheet.files.presigned import add_download_name
from callsheet.files.sources import SourceOpener
from callsheet.files.storage import Storage, open_storage
from callsheet.testing.waiters import until
from support.proxy import Proxy

from .s3_server import SECRET_KEY, S3Server

KEY = "render/1/Clip 🎬 'mit' \"Namen\" & 100% #1 + [x].mp4"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def storage(s3_server: S3Server) -> Storage:
    return open_storage(s3_server.settings())


def make_file(folder: Path, size: int) -> Path:
    path = folder / "made.bin"
    path.write_bytes((os.urandom(1024) * (size // 1024 + 1))[:size])
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def read(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.stream(key, start, end)])


async def etag(storage: Storage, key: str) -> str:
    metadata = await obstore.head_async(storage._store, key)
    return (metadata["e_tag"] or "").strip('"')


def download(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Download a URL as a browser does: without credentials."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize("size", [0, 1, 100_000, 17 * 2**20 + 5])
async def test_a_stored_file_is_read_back_unchanged(storage: Storage, tmp_path: Path, size: int) -> None:
    source = make_file(tmp_path, size)

    stored = await storage.put(KEY, source)
    found = await storage.head(KEY)
    received = await storage.get(KEY, tmp_path / "back.bin")

    assert stored.sha256 == sha256(source) == sha256(tmp_path / "back.bin")
    assert stored.size == found.size == received == size
    assert found.media_type == "video/mp4"


async def test_a_large_file_is_uploaded_in_parts(storage: Storage, tmp_path: Path) -> None:
    await storage.put("parts/large.bin", make_file(tmp_path, 20_000_000))
    await storage.put("parts/small.bin", make_file(tmp_path, 20_000))

    large, small = await etag(storage, "parts/large.bin"), await etag(storage, "parts/small.bin")

    assert large.endswith("-3")
    assert "-" not in small


async def test_a_byte_range_is_streamed(storage: Storage, tmp_path: Path) -> None:
    source = make_file(tmp_path, 3_000_000)
    whole = source.read_bytes()
    await storage.put("a/part.mp4", source)

    assert await read(storage, "a/part.mp4", 1000, 2_500_000) == whole[1000:2_500_000]
    assert await read(storage, "a/part.mp4", 2_999_990) == whole[-10:]
    assert await read(storage, "a/part.mp4", 2_999_990, 9_000_000) == whole[-10:]
    assert await read(storage, "a/part.mp4", 7, 7) == b""


async def test_a_missing_file_is_not_found(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file 'nope/x'"):
        await storage.head("nope/x")
    with pytest.raises(NotFound):
        await storage.get("nope/x", tmp_path / "x")


async def test_deleting_ignores_missing_files(storage: Storage, tmp_path: Path) -> None:
    await storage.put("gone/a b 🎬.bin", make_file(tmp_path, 10))

    await storage.delete(["gone/a b 🎬.bin", "gone/never-was"])

    with pytest.raises(NotFound):
        await storage.head("gone/a b 🎬.bin")


async def test_the_check_passes_and_leaves_nothing(storage: Storage) -> None:
    before = [page async for page in storage.list_pages("callsheet-check")]

    await storage.check()

    assert [page async for page in storage.list_pages("callsheet-check")] == before


async def test_keys_start_with_the_prefix(s3_server: S3Server, tmp_path: Path) -> None:
    inner = open_storage(s3_server.settings(s3_prefix="/studio 1/files/"))
    await inner.put("a/x.bin", make_file(tmp_path, 10))

    outer = open_storage(s3_server.settings())

    assert (await outer.head("studio 1/files/a/x.bin")).size == 10
    with pytest.raises(BadSource):
        await inner.head("../../a/x.bin")


async def test_a_presigned_url_supports_ranges(storage: Storage, tmp_path: Path) -> None:
    source = make_file(tmp_path, 100_000)
    whole = source.read_bytes()
    await storage.put(KEY, source)
    url = storage.sign(KEY, lifetime=MINUTE)
    assert url is not None

    status, headers, body = await asyncio.to_thread(download, url)
    part = await asyncio.to_thread(lambda: download(url, Range="bytes=10-19"))

    assert (status, body) == (200, whole)
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Content-Disposition"].startswith("inline; ")
    assert (part[0], part[2]) == (206, whole[10:20])
    assert SECRET_KEY not in url


async def test_a_presigned_url_sets_the_download_name(storage: Storage, tmp_path: Path) -> None:
    await storage.put(KEY, make_file(tmp_path, 10))
    url = storage.sign(KEY, lifetime=MINUTE, download_name='Mein "Video" 🎬.mp4')
    assert url is not None

    status, headers, body = await asyncio.to_thread(download, url)

    assert (status, len(body)) == (200, 10)
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert "filename*=UTF-8''Mein%20%22Video%22%20%F0%9F%8E%AC.mp4" in headers["Content-Disposition"]


async def test_a_presigned_url_is_valid_for_one_file(storage: Storage, tmp_path: Path) -> None:
    await storage.put("a/mine.bin", make_file(tmp_path, 10))
    await storage.put("a/other.bin", make_file(tmp_path, 10))
    url = storage.sign("a/mine.bin", lifetime=MINUTE)
    assert url is not None

    responses = [
        await asyncio.to_thread(download, changed)
        for changed in (
            url.replace("mine", "other"),
            url.split("?")[0],
            url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        )
    ]

    assert [status for status, _, _ in responses] == [403, 403, 403]


async def test_a_presigned_url_expires(storage: Storage, tmp_path: Path) -> None:
    await storage.put("a/soon.bin", make_file(tmp_path, 10))
    url = storage.sign("a/soon.bin", lifetime=timedelta(seconds=1))
    named = storage.sign("a/soon.bin", lifetime=timedelta(seconds=1), download_name="x.bin")
    assert url is not None and named is not None

    async with asyncio.timeout(10):
        while (await asyncio.to_thread(download, url))[0] == 200:  # noqa: ASYNC110 - the expiry is a matter of time
            await asyncio.sleep(0.2)

    assert (await asyncio.to_thread(download, url))[0] == 403
    assert (await asyncio.to_thread(download, named))[0] == 403


async def test_a_presigned_put_stores_a_file(storage: Storage) -> None:
    url = storage.sign("uploads/new.bin", method="PUT", lifetime=MINUTE)
    assert url is not None

    def upload() -> int:
        request = urllib.request.Request(url, data=b"video", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)

    assert await asyncio.to_thread(upload) == 200
    assert await read(storage, "uploads/new.bin") == b"video"


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=8)])
def test_a_lifetime_out_of_range_is_rejected(storage: Storage, lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match="7 days"):
        storage.sign(KEY, lifetime=lifetime)


def test_the_signature_matches_the_one_of_obstore(storage: Storage) -> None:
    url = storage.sign("a/b c.mp4", lifetime=MINUTE)
    assert url is not None

    named = add_download_name(url, SECRET_KEY, "x.mp4")
    before, after = (parse_qs(urlsplit(address).query) for address in (url, named))

    assert after.pop("response-content-disposition") == ['attachment; filename="x.mp4"']
    assert after.pop("X-Amz-Signature") != before.pop("X-Amz-Signature")
    assert before == after and urlsplit(url).path == urlsplit(named).path


async def check_failure(storage: Storage, kind: type[CallsheetError] = StorageRejected) -> str:
    with pytest.raises(kind) as caught:
        await storage.check()
    message = str(caught.value)
    assert SECRET_KEY not in message and "wrong-secret" not in message
    return message


async def test_a_wrong_secret_key_is_reported(s3_server: S3Server) -> None:
    assert "the secret key is wrong" in await check_failure(
        open_storage(s3_server.settings(s3_secret_key="wrong-secret"))
    )


async def test_a_wrong_access_key_is_reported(s3_server: S3Server) -> None:
    message = await check_failure(open_storage(s3_server.settings(s3_access_key="unknown-key")))

    assert "the access key is unknown" in message


async def test_a_missing_bucket_is_reported(s3_server: S3Server) -> None:
    message = await check_failure(open_storage(s3_server.settings(s3_bucket="nowhere")))

    assert message.startswith("There is no bucket 'nowhere' at 127.0.0.1:")


async def test_a_server_without_tls_is_reported(s3_server: S3Server) -> None:
    settings = s3_server.settings(s3_endpoint=s3_server.endpoint.replace("http://", "https://"))

    assert "cannot be used" in await check_failure(open_storage(settings), StorageUnreachable)


async def test_an_unknown_host_is_reported(s3_server: S3Server) -> None:
    storage = open_storage(s3_server.settings(s3_endpoint="https://s3.nowhere.invalid"))
    message = await check_failure(storage, StorageUnreachable)

    assert message == "The bucket 'videos' at s3.nowhere.invalid cannot be used: its host name is unknown"


async def test_a_session_token_of_the_environment_is_not_combined_with_the_keys(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "stray")

    storage = open_storage(s3_server.settings())
    await storage.check()

    assert "Security-Token" not in storage.sign("a/x.bin", lifetime=MINUTE, download_name="x.bin")


async def test_keys_of_the_environment_are_used_without_keys_in_the_settings(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    storage = open_storage(s3_server.settings(s3_access_key=None, s3_secret_key=None))

    await storage.put("a/env.bin", make_file(tmp_path, 10))
    url = storage.sign("a/env.bin", lifetime=MINUTE, download_name="other.bin")

    assert url is not None and (await asyncio.to_thread(download, url))[0] == 200


@pytest.fixture
def private_server(tmp_path: Path) -> Iterator[S3Server]:
    server = S3Server(tmp_path)
    server.start()
    yield server
    server.kill()


async def test_a_killed_server_is_unreachable_until_it_restarts(private_server: S3Server, tmp_path: Path) -> None:
    storage = open_storage(private_server.settings())
    source = make_file(tmp_path, 17 * 2**20)
    await storage.put("a/kept.bin", source)

    private_server.kill()
    started = time.monotonic()
    failures: list[CallsheetError] = []
    for action in (storage.put("a/b.bin", source), storage.get("a/kept.bin", tmp_path / "x"), storage.head("a/b")):
        with pytest.raises(StorageUnreachable, match="connection was refused") as caught:
            await action
        failures.append(caught.value)
    assert time.monotonic() - started < 15
    assert not (tmp_path / "x").exists()
    assert all("videos" in str(failure) for failure in failures)

    await asyncio.to_thread(private_server.start)
    await storage.get("a/kept.bin", tmp_path / "x")
    assert sha256(tmp_path / "x") == sha256(source)
    with pytest.raises(NotFound):
        await storage.head("a/b.bin")


@asynccontextmanager
async def truncating_server() -> AsyncIterator[str]:
    """A server that closes the connection in the middle of each response."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: "x"\r\nLast-Modified: Sun, 22 Nov 2026 17:35:37 GMT'
        writer.write(f"{head}\r\n\r\n".encode() + b"x" * 5000)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def test_a_truncated_response_leaves_no_partial_file(s3_server: S3Server, tmp_path: Path) -> None:
    async with truncating_server() as endpoint:
        storage = open_storage(s3_server.settings(s3_endpoint=endpoint))
        with pytest.raises(StorageUnreachable, match="cannot be used"):
            await storage.get("a/x.bin", tmp_path / "x.bin")

    assert [path.name for path in tmp_path.iterdir()] == []  # noqa: ASYNC240


async def test_a_stored_source_is_fetched_once(s3_server: S3Server, storage: Storage, tmp_path: Path) -> None:
    stored = await storage.put("render/7/Video 🎬.mp4", make_file(tmp_path, 5000))
    artifact = Artifact(
        artifact_id=new_id(),
        name="Video 🎬.mp4",
        key=stored.key,
        media_type=stored.media_type,
        size=stored.size,
        sha256=stored.sha256,
    )

    async def find(_: object) -> Artifact:
        return artifact

    opener = SourceOpener(storage, s3_server.settings(), find)
    paths = await asyncio.gather(*(opener.open(MediaSource(artifact), tmp_path / "job") for _ in range(3)))
    by_key = await opener.open(MediaSource(f"storage:{stored.key}"), tmp_path / "job")

    assert len(set(paths)) == 1 and paths[0].name == by_key.name == "Video 🎬.mp4"
    assert sha256(paths[0]) == sha256(by_key) == stored.sha256


async def test_a_damaged_cached_file_is_a_miss(storage: Storage, tmp_path: Path) -> None:
    cache, source, target = FileCache(storage, max_age=timedelta(days=7)), make_file(tmp_path, 100_000), tmp_path / "x"
    key = "piece/" + sha256(source)
    missed = await cache.fetch(key, target)
    await cache.keep(key, source)

    found = await cache.fetch(key, target)

    assert (missed, found, sha256(target)) == (False, True, sha256(source))
    ((entry,),) = [page async for page in storage.list_pages(f"callsheet-cache/piece/{sha256(source)[:2]}")]
    await storage.put(entry.key, make_file(tmp_path, 100_000))
    target.unlink()
    assert not await cache.fetch(key, target)
    assert not target.exists()


async def test_expired_cached_files_are_deleted_page_by_page(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsheet.files.storage._PAGE_SIZE", 10)
    storage = open_storage(s3_server.settings(s3_prefix="cleaned"))
    source = make_file(tmp_path, 10)
    old, young = FileCache(storage, max_age=timedelta(microseconds=1)), FileCache(storage, max_age=timedelta(days=7))
    keys = [f"piece/{number:064x}" for number in range(25)]
    await asyncio.gather(*(young.keep(key, source) for key in keys))

    assert [len(page) async for page in storage.list_pages("callsheet-cache")] == [10, 10, 5]
    assert await young.clean_up(interval=timedelta(0)) == 0
    assert await young.fetch(keys[-1], tmp_path / "x")
    assert await old.clean_up(interval=timedelta(hours=1)) == 0
    await until(lambda: old.clean_up(interval=timedelta(0)))
    assert [found.key async for page in storage.list_pages("callsheet-cache") for found in page] == [
        "callsheet-cache/cleaned"
    ]


async def test_a_cache_in_an_unreachable_bucket_is_a_miss(tmp_path: Path) -> None:
    server = S3Server(tmp_path)
    storage = open_storage(server.settings())
    cache, source = FileCache(storage, max_age=timedelta(days=7)), make_file(tmp_path, 10)

    await cache.keep("piece/" + "ab" * 32, source)

    assert not await cache.fetch("piece/" + "ab" * 32, tmp_path / "x")


async def test_parts_of_an_upload_that_was_never_completed_are_deleted(s3_server: S3Server, tmp_path: Path) -> None:
    source, key = make_file(tmp_path, 40 * 2**20), f"render/{new_id()}/a&b 🎬.mp4"
    async with Proxy("127.0.0.1", int(s3_server.endpoint.rpartition(":")[2])) as proxy:
        settings = s3_server.settings(s3_endpoint=f"http://127.0.0.1:{proxy.port}", s3_prefix="my studio")
        storage = open_storage(settings)
        proxy.delay = 0.02
        upload = asyncio.create_task(storage.put(key, source))
        await until(lambda: proxy.connections >= 2, timeout=30)
        proxy.accepting = False
        proxy.cut()
        with pytest.raises(StorageUnreachable):
            await upload
        proxy.accepting, proxy.delay = True, 0.0

        early = await storage.abort_unfinished_uploads(before=datetime.now(UTC) - timedelta(hours=1))
        found = await storage.abort_unfinished_uploads(before=datetime.now(UTC) + timedelta(hours=1))
        again = await storage.abort_unfinished_uploads(before=datetime.now(UTC) + timedelta(hours=1))

    assert (early, found, again) == (0, 1, 0)


@pytest.fixture
def virtual_host_server(tmp_path: Path) -> Iterator[S3Server]:
    """A server with virtual-hosted URLs. `127.0.0.1` is the host name of the bucket `127` in the domain `0.0.1`."""
    server = S3Server(tmp_path, bucket="127", domain="0.0.1")
    server.start()
    yield server
    server.kill()


async def test_a_bucket_in_the_host_of_the_url_works(virtual_host_server: S3Server, tmp_path: Path) -> None:
    storage = open_storage(virtual_host_server.settings())
    source = make_file(tmp_path, 17 * 2**20)

    await storage.check()
    stored = await storage.put(KEY, source)
    await storage.put("a/other.bin", make_file(tmp_path, 10))
    url = storage.sign(KEY, lifetime=MINUTE, download_name="x.mp4")
    assert url is not None

    assert urlsplit(url).path.startswith("/render/1/")
    status, _, body = await asyncio.to_thread(download, url)
    assert (status, hashlib.sha256(body).hexdigest()) == (200, stored.sha256)
    await storage.delete([KEY, "a/other.bin"])
    for key in (KEY, "a/other.bin"):
        with pytest.raises(NotFound):
            await storage.head(key)


@asynccontextmanager
async def refusing_server() -> AsyncIterator[str]:
    """A server that answers a deletion with status 200 and an error for each key, as S3 does."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        keys = re.findall(r"<Key>(.*?)</Key>", (await reader.readexactly(length)).decode())
        errors = "".join(
            f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>no</Message></Error>" for key in keys
        )
        body = f"<?xml version='1.0'?><DeleteResult>{errors}</DeleteResult>".encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def test_a_refused_deletion_is_an_error_although_the_response_is_200(s3_server: S3Server) -> None:
    async with refusing_server() as endpoint:
        storage = open_storage(s3_server.settings(s3_endpoint=endpoint))
        with pytest.raises(StorageRejected, match="AccessDenied"):
            await storage.delete(["a/x.bin", "a/y.bin"])
