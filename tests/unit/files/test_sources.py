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
    """The artifacts that a database would know."""

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
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "job"
    place.mkdir()
    return place


@pytest.fixture
def opener(settings: Settings, storage: Storage, records: Records) -> SourceOpener:
    return SourceOpener(storage, settings, records.find)


@pytest.fixture
def open_source(opener: SourceOpener, folder: Path) -> Open:
    return lambda source: opener.open(MediaSource(source), folder)


@pytest.fixture
async def stored(storage: Storage, tmp_path: Path) -> str:
    """The key of a file in the storage."""
    made = tmp_path / "made"
    made.write_bytes(b"film")
    return (await storage.put("render/1/My film 🎬.mp4", made)).key


def contents(path: Path) -> bytes:
    return path.read_bytes()


def sources_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("sources/*/*"))


async def test_an_artifact_is_opened_by_reference_or_id(
    open_source: Open, records: Records, stored: str, folder: Path
) -> None:
    artifact = records.add(stored, "My film 🎬.mp4")

    by_record, by_id = await open_source(artifact), await open_source(f"artifact:{artifact.artifact_id}")

    assert by_record == by_id
    assert by_record.name == "My film 🎬.mp4" and contents(by_record) == b"film"
    assert sources_in(folder) == ["My film 🎬.mp4"]


async def test_the_key_in_a_forged_record_is_not_used(
    open_source: Open, records: Records, storage: Storage, stored: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    await storage.put("other/9/secret.mp4", tmp_path / "secret")
    honest = records.add(stored, "a.mp4")

    path = await open_source(honest.model_copy(update={"key": "other/9/secret.mp4"}))

    assert contents(path) == b"film"


async def test_an_unknown_artifact_is_told(open_source: Open) -> None:
    unknown = new_id()

    with pytest.raises(BadSource, match=str(unknown)):
        await open_source(f"artifact:{unknown}")


async def test_an_artifact_whose_file_is_gone_is_told(open_source: Open, records: Records, folder: Path) -> None:
    artifact = records.add("render/1/gone.mp4", "gone.mp4")

    with pytest.raises(BadSource, match=r"no file 'render/1/gone\.mp4'"):
        await open_source(artifact)

    assert sources_in(folder) == []


async def test_a_stored_file_outlives_its_removal_while_the_job_runs(
    open_source: Open, storage: Storage, stored: str
) -> None:
    path = await open_source(f"storage:{stored}")
    await storage.delete([stored])

    assert path.name == "My film 🎬.mp4" and contents(path) == b"film"


async def test_an_output_of_the_same_name_does_not_touch_the_stored_file(
    open_source: Open, storage: Storage, stored: str, folder: Path
) -> None:
    path = await open_source(f"storage:{stored}")

    assert path.parent != folder
    assert path.stat().st_mode & 0o222 == 0
    (folder / path.name).write_bytes(b"another")
    assert contents(storage.path(stored) or folder) == b"film"


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../../etc/passwd", "", "a\\b", "nope.mp4"])
async def test_a_bad_storage_key_is_refused(open_source: Open, key: str) -> None:
    with pytest.raises(BadSource):
        await open_source(f"storage:{key}")


async def film(call: Request) -> None:
    await asyncio.sleep(0.05)
    await call.respond(body=b"film" * 1000, Content_Type="video/mp4")


@pytest.mark.parametrize("text", ["storage:callsheet-cache/piece/x", "STORAGE:Callsheet-Cache/piece/x"])
async def test_what_is_cached_is_no_source_whether_it_exists(
    open_source: Open, storage: Storage, tmp_path: Path, text: str
) -> None:
    with pytest.raises(BadSource, match="what is cached is nobody's source"):
        await open_source(text)
    (tmp_path / "made").write_bytes(b"film")
    await storage.put(text[len("storage:") :], tmp_path / "made")
    with pytest.raises(BadSource, match="what is cached is nobody's source"):
        await open_source(text)


async def test_a_url_is_fetched_once_however_often_it_is_opened(open_source: Open, folder: Path) -> None:
    async with serve(film) as server:
        url = server.url("/get%20me?id=1")
        paths = await asyncio.gather(*(open_source(url) for _ in range(5)))
        paths.append(await open_source(url))
        other = await open_source(server.url("/get%20me?id=2"))

    assert len(set(paths)) == 1 and len(server.requests) == 2
    assert other != paths[0]
    assert sources_in(folder) == ["get me.mp4", "get me.mp4"]


async def test_a_download_that_one_waiter_gave_up_still_comes_for_the_other(open_source: Open) -> None:
    asked = asyncio.Event()

    async def slow_film(call: Request) -> None:
        asked.set()
        await film(call)

    async with serve(slow_film) as server:
        first, second = (asyncio.create_task(open_source(server.url())) for _ in range(2))
        await asyncio.wait_for(asked.wait(), 5)
        first.cancel()
        path = await second

    assert first.cancelled() and contents(path) == b"film" * 1000


async def test_a_failed_download_is_tried_anew_the_next_time(open_source: Open, folder: Path) -> None:
    async def first_busy(call: Request) -> None:
        await call.respond(503 if len(server.requests) == 1 else 200, b"film")

    async with serve(first_busy) as server:
        with pytest.raises(SourceUnreachable):
            await open_source(server.url())
        assert sources_in(folder) == []
        assert contents(await open_source(server.url())) == b"film"


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
    ("uri", "words"),
    [
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,a$b", "not valid base64"),
        ("data:image/png;base64,a", "not valid base64"),
        ("data:,é🎬" + "x" * 1_000_000, "more than the 1,000,000 bytes"),
        ("data:;base64," + base64.b64encode(bytes(1_000_001)).decode(), "more than the 1,000,000 bytes"),
    ],
)
async def test_a_bad_data_uri_is_refused(open_source: Open, folder: Path, uri: str, words: str) -> None:
    with pytest.raises(BadSource, match=words) as caught:
        await open_source(uri)

    assert len(str(caught.value)) < 200
    assert sources_in(folder) == []


async def test_a_local_path_below_a_root_is_used_as_it_is(open_source: Open, roots: tuple[Path, Path]) -> None:
    first, second = roots
    (first / "a 'clip' 🎬.mp4").write_bytes(b"first")
    (second / "b.mp4").write_bytes(b"second")

    assert await open_source("a 'clip' 🎬.mp4") == first / "a 'clip' 🎬.mp4"
    assert await open_source("./a 'clip' 🎬.mp4") == first / "a 'clip' 🎬.mp4"
    assert await open_source(str(second / "b.mp4")) == second / "b.mp4"
    assert await open_source("../second/b.mp4") == second / "b.mp4"


async def test_a_local_path_elsewhere_is_refused_alike_whether_it_exists(
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
        with pytest.raises(BadSource, match="does not lie below") as caught:
            await open_source(text)
        messages.add(message(text, caught.value))
    assert len(messages) == 1

    for text in ("nothing", ".", "loop", "x" * 5000, "-"):
        with pytest.raises(BadSource):
            await open_source(text)


async def test_a_pipe_is_not_a_file(open_source: Open, roots: tuple[Path, Path]) -> None:
    os.mkfifo(roots[0] / "pipe")

    with pytest.raises(BadSource, match="There is no file 'pipe'"):
        await open_source("pipe")


async def test_no_local_path_is_read_without_a_root(
    make_settings: MakeSettings, storage: Storage, records: Records, folder: Path
) -> None:
    opener = SourceOpener(storage, make_settings(), records.find)

    with pytest.raises(BadSource, match="CALLSHEET_SOURCE_ROOTS"):
        await opener.open(MediaSource("/etc/passwd"), folder)


@pytest.mark.parametrize("text", ["file:///etc/passwd", "ftp://example.com/x", "s3://bucket/x", "concat://a|b"])
async def test_another_kind_of_address_is_no_path(open_source: Open, text: str) -> None:
    with pytest.raises(BadSource, match="not a kind of source"):
        await open_source(text)
