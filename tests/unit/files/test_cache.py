import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from callsheet.domain.errors import DiskFull, StorageUnreachable
from callsheet.files import cache as cache_module
from callsheet.files.cache import FileCache, is_cache_key
from callsheet.files.storage import Storage, open_folder

KEY = "piece/" + "ab" * 32
WEEK, HOUR = timedelta(days=7), timedelta(hours=1)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_folder(tmp_path / "files")


@pytest.fixture
def cache(storage: Storage) -> FileCache:
    return FileCache(storage, max_age=WEEK)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made.mp4"
    path.write_bytes(b"a piece of film")
    return path


def cached_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files/callsheet-cache").rglob("*") if path.is_file()]


def the_cached_file(tmp_path: Path) -> Path:
    (path,) = (path for path in cached_files(tmp_path) if path.name != "tidied")
    return path


def grow_old(path: Path, age: timedelta) -> None:
    moment = path.stat().st_mtime - age.total_seconds()
    os.utime(path, (moment, moment))


async def test_what_was_kept_is_fetched(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)

    assert await cache.fetch(KEY, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == b"a piece of film"


async def test_what_was_not_kept_is_not_there(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)

    assert not await cache.fetch("piece/" + "cd" * 32, tmp_path / "again.mp4")
    assert not await cache.fetch(KEY.replace("piece", "sound"), tmp_path / "again.mp4")
    assert not (tmp_path / "again.mp4").exists()


async def test_a_fetched_file_takes_no_second_place_on_the_disk(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)

    await cache.fetch(KEY, tmp_path / "again.mp4")

    assert (tmp_path / "again.mp4").samefile(the_cached_file(tmp_path))


async def test_a_file_that_stands_at_the_target_gives_way(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)
    (tmp_path / "again.mp4").write_bytes(b"left by an earlier try")

    assert await cache.fetch(KEY, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == b"a piece of film"


@pytest.mark.parametrize("damage", [b"a piece of fil", b"a piece of fi1m", b""])
async def test_a_damaged_file_is_a_miss_and_is_removed(
    cache: FileCache, made: Path, tmp_path: Path, damage: bytes
) -> None:
    await cache.keep(KEY, made)
    stored = the_cached_file(tmp_path)
    stored.chmod(0o644)
    stored.write_bytes(damage)

    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert not (tmp_path / "again.mp4").exists()
    assert cached_files(tmp_path) == []


async def test_a_whole_file_is_found_behind_a_damaged_one(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)
    stored = the_cached_file(tmp_path)
    stored.with_name("0" * 64 + "-5").write_bytes(b"wrong")
    stored.with_name("f" * 64 + "-5").write_bytes(b"wrong")

    assert await cache.fetch(KEY, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == b"a piece of film"


async def test_an_empty_file_can_be_kept(cache: FileCache, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    await cache.keep(KEY, tmp_path / "empty")

    assert await cache.fetch(KEY, tmp_path / "again")


async def test_many_may_keep_and_fetch_the_same_at_once(cache: FileCache, made: Path, tmp_path: Path) -> None:
    async def keep_and_fetch(number: int) -> bool:
        await cache.keep(KEY, made)
        return await cache.fetch(KEY, tmp_path / f"again-{number}")

    assert all(await asyncio.gather(*map(keep_and_fetch, range(8))))
    assert len(cached_files(tmp_path)) == 1


async def test_without_an_age_nothing_is_kept(storage: Storage, made: Path, tmp_path: Path) -> None:
    cache = FileCache(storage, max_age=timedelta(0))

    await cache.keep(KEY, made)

    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert cached_files(tmp_path) == []


@pytest.mark.parametrize("key", ["piece", "piece/ab", KEY.upper(), "../" + KEY, KEY + "/x", "a piece/" + "ab" * 32])
async def test_a_key_that_is_no_digest_is_a_mistake_in_the_program(
    cache: FileCache, made: Path, tmp_path: Path, key: str
) -> None:
    with pytest.raises(ValueError, match="a cache key is <kind>/<64 hexadecimal digits>"):
        await cache.keep(key, made)
    with pytest.raises(ValueError, match="a cache key is"):
        await cache.fetch(key, tmp_path / "again.mp4")


class Away(Storage):
    """A storage that answers nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def put(self, *_: object, **__: object) -> None:  # type: ignore[override]
        raise self.error

    async def pages(self, folder: str):  # type: ignore[no-untyped-def]
        raise self.error
        yield


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What the cache tells the log, however other tests have set logs up."""
    logger = CapturingLogger()
    monkeypatch.setattr(cache_module, "log", logger)
    return logger


@pytest.mark.parametrize("error", [StorageUnreachable("The bucket is away"), DiskFull("There is no space left")])
async def test_what_cannot_be_kept_is_told_in_the_log_alone(
    error: Exception, made: Path, logged: CapturingLogger
) -> None:
    await FileCache(Away(error), max_age=WEEK).keep(KEY, made)

    assert str(error) in str(logged.calls)


async def test_a_storage_that_cannot_be_reached_holds_nothing(tmp_path: Path, logged: CapturingLogger) -> None:
    cache = FileCache(Away(StorageUnreachable("The bucket is away")), max_age=WEEK)

    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert "The bucket is away" in str(logged.calls)


async def test_old_files_are_tidied_away_and_young_ones_stay(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)
    grow_old(the_cached_file(tmp_path), WEEK + HOUR)
    await cache.keep("sound/" + "cd" * 32, made)

    assert await cache.clean_up(interval=HOUR) == 1
    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert await cache.fetch("sound/" + "cd" * 32, tmp_path / "again.mp4")


async def test_keeping_again_makes_a_file_young_again(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)
    grow_old(the_cached_file(tmp_path), WEEK + HOUR)
    await cache.keep(KEY, made)

    assert await cache.clean_up(interval=HOUR) == 0


async def test_only_one_of_many_tidies_in_an_interval(cache: FileCache, made: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, made)
    await cache.clean_up(interval=HOUR)
    grow_old(the_cached_file(tmp_path), WEEK + HOUR)

    assert await cache.clean_up(interval=HOUR) == 0

    grow_old(tmp_path / "files/callsheet-cache/tidied", HOUR + HOUR)
    assert await cache.clean_up(interval=HOUR) == 1


async def test_tidying_touches_nothing_that_the_cache_did_not_write(
    cache: FileCache, storage: Storage, made: Path, tmp_path: Path
) -> None:
    strangers = ["callsheet-cache/notes.txt", "callsheet-cache/piece/ab/film.mp4", "render/film.mp4"]
    for key in strangers:
        await storage.put(key, made)
        grow_old(tmp_path / "files" / key, 10 * WEEK)

    assert await cache.clean_up(interval=HOUR) == 0
    assert all((tmp_path / "files" / key).exists() for key in strangers)


async def test_tidying_an_unused_cache_leaves_no_trace(cache: FileCache, tmp_path: Path) -> None:
    assert await cache.clean_up(interval=HOUR) == 0
    assert list((tmp_path / "files").iterdir()) == []


def test_the_cache_is_known_by_its_first_folder() -> None:
    assert is_cache_key("callsheet-cache/piece/x")
    assert is_cache_key("Callsheet-Cache/piece/x")
    assert not is_cache_key("uploads/callsheet-cache/x")
