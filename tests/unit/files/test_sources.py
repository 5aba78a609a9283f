import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, NotFound, SourceUnreachable
from callsheet.domain.ids import new_id
from callsheet.domain.media_source import MediaSource
from callsheet.files.sources import SourceOpener
from callsheet.files.storage import Storage, open_storage
from callsheet.settings import Settings

from .conftest import MakeSettings
from .web_servers import Request, serve

Open = Callable[[str | Artifact], Awaitable[Path]]


class Records:
    """The artifact records of a database."""

    def __init__(self) -> None:
        self.known: dict[UUID, Artifact] = {}

    async def find(self, artifact_id: UUID) -> Artifact:
        if artifact_id not in self.known:
            raise NotFound
        return self.known[artifact_id]

    def add(self, key: str, name: str) -> Artifact:
        artifact = Artifact(artifact_id=new_id(), name=name, key=key, media_type="video/mp4", size=4, sha256="0" * 64)
        self.known[artifact.artifact_id] = artifact
        return artifact


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first root", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    return first, second


@pytest.fixture
def settings(make_settings: MakeSettings, roots: tuple[Path, Path]) -> Settings:
    return make_settings(
        allow_http=True, allow_private_addresses=True, source_roots=list(roots), source_max_bytes=1_000_000
    )


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return open_storage(settings)


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    path = tmp_path / "job"
    path.mkdir()
    return path


@pytest.fixture
def opener(settings: Settings, storage: Storage, records: Records) -> SourceOpener:
    return SourceOpener(storage, settings, records.find)


@pytest.fixture
def open_source(opener: SourceOpener, job_dir: Path) -> Open:
    return lambda source: opener.open(MediaSource(source), job_dir)


@pytest.fixture
async def stored(storage: Storage, tmp_path: Path) -> str:
    """The key of a file in the storage."""
    source = tmp_path / "source"
    source.write_bytes(b"video")
    return (await storage.put("render/1/My video 🎬.mp4", source)).key


def contents(path: Path) -> bytes:
    return path.read_bytes()


def sources_in(job_dir: Path) -> list[str]:
    return sorted(path.name for path in job_dir.glob("sources/*/*"))


async def test_an_artifact_is_opened_by_reference_or_id(
    open_source: Open, records: Records, stored: str, job_dir: Path
) -> None:
    artifact = records.add(stored, "My video 🎬.mp4")

    by_record, by_id = await open_source(artifact), await open_source(f"artifact:{artifact.artifact_id}")

    assert by_record == by_id
    assert by_record.name == "My video 🎬.mp4" and contents(by_record) == b"video"
    assert sources_in(job_dir) == ["My video 🎬.mp4"]


async def test_the_key_of_a_forged_record_is_ignored(
    open_source: Open, records: Records, storage: Storage, stored: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    await storage.put("other/9/secret.mp4", tmp_path / "secret")
    genuine = records.add(stored, "a.mp4")

    path = await open_source(genuine.model_copy(update={"key": "other/9/secret.mp4"}))

    assert contents(path) == b"video"


async def test_an_unknown_artifact_is_reported(open_source: Open) -> None:
    unknown = new_id()

    with pytest.raises(BadSource, match=str(unknown)):
        await open_source(f"artifact:{unknown}")


async def test_a_missing_artifact_file_is_reported(open_source: Open, records: Records, job_dir: Path) -> None:
    artifact = records.add("render/1/gone.mp4", "gone.mp4")

    with pytest.raises(BadSource, match=r"no file 'render/1/gone\.mp4'"):
        await open_source(artifact)

    assert sources_in(job_dir) == []


async def test_a_stored_file_stays_available_to_the_job_after_its_deletion(
    open_source: Open, storage: Storage, stored: str
) -> None:
    path = await open_source(f"storage:{stored}")
    await storage.delete([stored])

    assert path.name == "My video 🎬.mp4" and contents(path) == b"video"


async def test_an_output_of_the_same_name_does_not_overwrite_the_stored_file(
    open_source: Open, storage: Storage, stored: str, job_dir: Path
) -> None:
    path = await open_source(f"storage:{stored}")

    assert path.parent != job_dir
    assert path.stat().st_mode & 0o222 == 0
    (job_dir / path.name).write_bytes(b"another")
    assert contents(storage.path(stored) or job_dir) == b"video"


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../../etc/passwd", "", "a\\b", "nope.mp4"])
async def test_an_invalid_storage_key_is_rejected(open_source: Open, key: str) -> None:
    with pytest.raises(BadSource):
        await open_source(f"storage:{key}")


async def send_video(request: Request) -> None:
    await asyncio.sleep(0.05)  # sleep: how long the server takes to respond
    await request.respond(body=b"video" * 1000, Content_Type="video/mp4")


@pytest.mark.parametrize("text", ["storage:callsheet-cache/piece/x", "STORAGE:Callsheet-Cache/piece/x"])
async def test_a_cache_entry_is_not_a_source_whether_or_not_it_exists(
    open_source: Open, storage: Storage, tmp_path: Path, text: str
) -> None:
    with pytest.raises(BadSource, match="is a cache entry and cannot be used as a source"):
        await open_source(text)
    (tmp_path / "source").write_bytes(b"video")
    await storage.put(text[len("storage:") :], tmp_path / "source")
    with pytest.raises(BadSource, match="is a cache entry and cannot be used as a source"):
        await open_source(text)


async def test_a_url_is_fetched_once_for_concurrent_and_repeated_calls(open_source: Open, job_dir: Path) -> None:
    async with serve(send_video) as server:
        url = server.url("/get%20me?id=1")
        paths = await asyncio.gather(*(open_source(url) for _ in range(5)))
        paths.append(await open_source(url))
        other = await open_source(server.url("/get%20me?id=2"))

    assert len(set(paths)) == 1 and len(server.requests) == 2
    assert other != paths[0]
    assert sources_in(job_dir) == ["get me.mp4", "get me.mp4"]


async def test_a_download_survives_the_cancellation_of_one_waiter(open_source: Open) -> None:
    requested = asyncio.Event()

    async def slow_video(request: Request) -> None:
        requested.set()
        await send_video(request)

    async with serve(slow_video) as server:
        first, second = (asyncio.create_task(open_source(server.url())) for _ in range(2))
        await asyncio.wait_for(requested.wait(), 5)
        first.cancel()
        path = await second

    assert first.cancelled() and contents(path) == b"video" * 1000


async def test_a_failed_download_is_repeated_by_the_next_call(open_source: Open, job_dir: Path) -> None:
    async def first_busy(request: Request) -> None:
        await request.respond(503 if len(server.requests) == 1 else 200, b"video")

    async with serve(first_busy) as server:
        with pytest.raises(SourceUnreachable):
            await open_source(server.url())
        assert sources_in(job_dir) == []
        assert contents(await open_source(server.url())) == b"video"


@pytest.mark.parametrize(
    ("uri", "suffix", "data"),
    [
        ("data:image/png;base64," + base64.b64encode(bytes(range(256))).decode(), ".png", bytes(range(256))),
        ("DATA:text/vtt,WEBVTT%0A%F0%9F%8E%AC", ".vtt", "WEBVTT\n🎬".encode()),
        ("data:,hello", ".txt", b"hello"),
        ("data:audio/mpeg;name=x;base64,aGVsbG8", ".mp3", b"hello"),
        ("data:video/mp4;base64,aGVs%0Abg8%3D", ".mp4", b"heln\x0f"),
    ],
)
async def test_a_data_uri_is_decoded(open_source: Open, uri: str, suffix: str, data: bytes) -> None:
    path = await open_source(uri)

    assert path.name == f"data{suffix}"
    assert contents(path) == data


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,a$b", "not valid base64"),
        ("data:image/png;base64,a", "not valid base64"),
        ("data:,é🎬" + "x" * 1_000_000, "limit of 1,000,000 bytes"),
        ("data:;base64," + base64.b64encode(bytes(1_000_001)).decode(), "limit of 1,000,000 bytes"),
    ],
)
async def test_an_invalid_data_uri_is_rejected(open_source: Open, job_dir: Path, uri: str, message: str) -> None:
    with pytest.raises(BadSource, match=message) as caught:
        await open_source(uri)

    assert len(str(caught.value)) < 200
    assert sources_in(job_dir) == []


async def test_a_local_path_in_an_allowed_folder_is_used_without_a_copy(
    open_source: Open, roots: tuple[Path, Path]
) -> None:
    first, second = roots
    (first / "a 'clip' 🎬.mp4").write_bytes(b"first")
    (second / "b.mp4").write_bytes(b"second")

    assert await open_source("a 'clip' 🎬.mp4") == first / "a 'clip' 🎬.mp4"
    assert await open_source("./a 'clip' 🎬.mp4") == first / "a 'clip' 🎬.mp4"
    assert await open_source(str(second / "b.mp4")) == second / "b.mp4"
    assert await open_source("../second/b.mp4") == second / "b.mp4"


async def test_a_local_path_elsewhere_is_rejected_whether_or_not_it_exists(
    open_source: Open, roots: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "first root evil").mkdir()
    (tmp_path / "first root evil/x").write_text("secret")
    (roots[0] / "link").symlink_to(tmp_path / "secret")
    (roots[0] / "loop").symlink_to(roots[0] / "loop")

    def message(text: str, error: BadSource) -> str:
        return str(error).replace(text, "X")

    messages = set()
    for text in ("../secret", "../nothing", "/etc/passwd", "/etc/no", "link", str(tmp_path / "first root evil/x")):
        with pytest.raises(BadSource, match="is outside the allowed folders") as caught:
            await open_source(text)
        messages.add(message(text, caught.value))
    assert len(messages) == 1

    for text in ("nothing", ".", "loop", "x" * 5000, "-"):
        with pytest.raises(BadSource):
            await open_source(text)


async def test_a_pipe_is_rejected(open_source: Open, roots: tuple[Path, Path]) -> None:
    os.mkfifo(roots[0] / "pipe")

    with pytest.raises(BadSource, match="There is no readable file 'pipe'"):
        await open_source("pipe")


async def test_local_paths_are_rejected_without_an_allowed_folder(
    make_settings: MakeSettings, storage: Storage, records: Records, job_dir: Path
) -> None:
    opener = SourceOpener(storage, make_settings(), records.find)

    with pytest.raises(BadSource, match="CALLSHEET_SOURCE_ROOTS"):
        await opener.open(MediaSource("/etc/passwd"), job_dir)


@pytest.mark.parametrize("text", ["file:///etc/passwd", "ftp://example.com/x", "s3://bucket/x", "concat://a|b"])
async def test_an_unsupported_scheme_is_rejected(open_source: Open, text: str) -> None:
    with pytest.raises(BadSource, match="not a supported scheme"):
        await open_source(text)
