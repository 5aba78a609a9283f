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
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.mp4"
    path.write_bytes(b"a piece of video")
    return path


def cached_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files/callsheet-cache").rglob("*") if path.is_file()]


def the_cached_file(tmp_path: Path) -> Path:
    (path,) = (path for path in cached_files(tmp_path) if path.name != "cleaned")
    return path


def age_file(path: Path, age: timedelta) -> None:
    moment = path.stat().st_mtime - age.total_seconds()
    os.utime(path, (moment, moment))


async def test_a_cached_file_is_fetched(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)

    assert await cache.fetch(KEY, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == b"a piece of video"


async def test_an_unknown_key_is_a_miss(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)

    assert not await cache.fetch("piece/" + "cd" * 32, tmp_path / "again.mp4")
    assert not await cache.fetch(KEY.replace("piece", "sound"), tmp_path / "again.mp4")
    assert not (tmp_path / "again.mp4").exists()


async def test_a_fetched_file_is_a_hard_link_of_the_cached_one(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)

    await cache.fetch(KEY, tmp_path / "again.mp4")

    assert (tmp_path / "again.mp4").samefile(the_cached_file(tmp_path))


async def test_an_existing_target_file_is_replaced(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)
    (tmp_path / "again.mp4").write_bytes(b"left by an earlier run")

    assert await cache.fetch(KEY, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == b"a piece of video"


@pytest.mark.parametrize("damage", [b"a piece of fil", b"a piece of fi1m", b""])
async def test_a_damaged_file_is_a_miss_and_is_removed(
    cache: FileCache, source: Path, tmp_path: Path, damage: bytes
) -> None:
    await cache.keep(KEY, source)
    stored = the_cached_file(tmp_path)
    stored.chmod(0o644)
    stored.write_bytes(damage)

    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert not (tmp_path / "again.mp4").exists()
    assert cached_files(tmp_path) == []


async def test_an_intact_file_is_found_after_damaged_ones(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)
    stored = the_cached_file(tmp_path)
    stored.with_name("0" * 64 + "-5").write_bytes(b"wrong")
    stored.with_name("f" * 64 + "-5").write_bytes(b"wrong")

    assert await cache.fetch(KEY, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == b"a piece of video"


async def test_an_empty_file_can_be_cached(cache: FileCache, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    await cache.keep(KEY, tmp_path / "empty")

    assert await cache.fetch(KEY, tmp_path / "again")


async def test_one_file_can_be_cached_and_fetched_concurrently(cache: FileCache, source: Path, tmp_path: Path) -> None:
    async def keep_and_fetch(number: int) -> bool:
        await cache.keep(KEY, source)
        return await cache.fetch(KEY, tmp_path / f"again-{number}")

    assert all(await asyncio.gather(*map(keep_and_fetch, range(8))))
    assert len(cached_files(tmp_path)) == 1


async def test_a_maximum_age_of_zero_disables_the_cache(storage: Storage, source: Path, tmp_path: Path) -> None:
    cache = FileCache(storage, max_age=timedelta(0))

    await cache.keep(KEY, source)

    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert cached_files(tmp_path) == []


@pytest.mark.parametrize("key", ["piece", "piece/ab", KEY.upper(), "../" + KEY, KEY + "/x", "a piece/" + "ab" * 32])
async def test_a_malformed_cache_key_raises_value_error(
    cache: FileCache, source: Path, tmp_path: Path, key: str
) -> None:
    with pytest.raises(ValueError, match="a cache key is <kind>/<64 hexadecimal digits>"):
        await cache.keep(key, source)
    with pytest.raises(ValueError, match="a cache key is"):
        await cache.fetch(key, tmp_path / "again.mp4")


class UnreachableStorage(Storage):
    """A storage whose every operation fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def put(self, *_: object, **__: object) -> None:  # type: ignore[override]
        raise self.error

    async def list_pages(self, folder: str):  # type: ignore[no-untyped-def]
        raise self.error
        yield


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """Log calls of the cache, independent of the logging configuration."""
    logger = CapturingLogger()
    monkeypatch.setattr(cache_module, "log", logger)
    return logger


@pytest.mark.parametrize("error", [StorageUnreachable("The bucket is unreachable"), DiskFull("There is no space left")])
async def test_a_failure_to_cache_is_logged_and_not_raised(
    error: Exception, source: Path, logged: CapturingLogger
) -> None:
    await FileCache(UnreachableStorage(error), max_age=WEEK).keep(KEY, source)

    assert str(error) in str(logged.calls)


async def test_an_unreachable_storage_is_a_miss(tmp_path: Path, logged: CapturingLogger) -> None:
    cache = FileCache(UnreachableStorage(StorageUnreachable("The bucket is unreachable")), max_age=WEEK)

    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert "The bucket is unreachable" in str(logged.calls)


async def test_expired_files_are_deleted_and_recent_ones_stay(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)
    age_file(the_cached_file(tmp_path), WEEK + HOUR)
    await cache.keep("sound/" + "cd" * 32, source)

    assert await cache.clean_up(interval=HOUR) == 1
    assert not await cache.fetch(KEY, tmp_path / "again.mp4")
    assert await cache.fetch("sound/" + "cd" * 32, tmp_path / "again.mp4")


async def test_caching_a_file_again_renews_its_age(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)
    age_file(the_cached_file(tmp_path), WEEK + HOUR)
    await cache.keep(KEY, source)

    assert await cache.clean_up(interval=HOUR) == 0


async def test_the_cache_is_cleaned_once_per_interval(cache: FileCache, source: Path, tmp_path: Path) -> None:
    await cache.keep(KEY, source)
    await cache.clean_up(interval=HOUR)
    age_file(the_cached_file(tmp_path), WEEK + HOUR)

    assert await cache.clean_up(interval=HOUR) == 0

    age_file(tmp_path / "files/callsheet-cache/cleaned", HOUR + HOUR)
    assert await cache.clean_up(interval=HOUR) == 1


async def test_the_clean_up_deletes_no_foreign_files(
    cache: FileCache, storage: Storage, source: Path, tmp_path: Path
) -> None:
    foreign = ["callsheet-cache/notes.txt", "callsheet-cache/piece/ab/video.mp4", "render/video.mp4"]
    for key in foreign:
        await storage.put(key, source)
        age_file(tmp_path / "files" / key, 10 * WEEK)

    assert await cache.clean_up(interval=HOUR) == 0
    assert all((tmp_path / "files" / key).exists() for key in foreign)


async def test_cleaning_an_unused_cache_writes_nothing(cache: FileCache, tmp_path: Path) -> None:
    assert await cache.clean_up(interval=HOUR) == 0
    assert list((tmp_path / "files").iterdir()) == []


def test_cache_keys_are_recognized_by_their_first_segment() -> None:
    assert is_cache_key("callsheet-cache/piece/x")
    assert is_cache_key("Callsheet-Cache/piece/x")
    assert not is_cache_key("uploads/callsheet-cache/x")
