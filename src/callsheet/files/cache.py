"""Content-addressed cache of intermediate files, in the storage.

The key of a cached file is `callsheet-cache/<kind>/<2 digits>/<digest>/<sha256>-<size>`. The digest identifies the
inputs and parameters the file was made from. The last part identifies the contents, so that a damaged file is
detected and never returned.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from callsheet.domain.errors import DiskFull, NotFound, StorageRejected, StorageUnreachable
from callsheet.files.digest import sha256_of_file
from callsheet.files.storage import Storage, StoredFileInfo

log = structlog.get_logger(__name__)

Repeat = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Runs an operation of the storage and returns its result; may repeat it during an outage."""

_FOLDER = "callsheet-cache"
_CLEANED_MARKER = f"{_FOLDER}/cleaned"
_KEY = re.compile(r"(?P<kind>[a-z][a-z0-9-]{0,31})/(?P<digest>[0-9a-f]{64})")
_ENTRY = re.compile(_FOLDER + r"/[a-z0-9-]+/[0-9a-f]{2}/[0-9a-f]{64}/(?P<sha256>[0-9a-f]{64})-(?P<size>[0-9]+)")


def is_cache_key(key: str) -> bool:
    """Return whether a storage key is inside the cache. Case is ignored, as some file systems ignore it."""
    return key.partition("/")[0].casefold() == _FOLDER


class FileCache:
    """Caches files in the storage for `max_age` after they were written; zero disables the cache.

    `fetch` and `keep` use the storage through `repeat`, which can wait for the end of an outage.
    """

    def __init__(self, storage: Storage, *, max_age: timedelta, repeat: Repeat | None = None) -> None:
        self._storage = storage
        self._max_age = max_age
        self._repeat = repeat or _run_once

    async def fetch(self, key: str, target: Path) -> bool:
        """Copy the cached file to `target`, read-only. Return False on a cache miss.

        An unreachable storage counts as a miss. Raises DiskFull when there is no space for `target`.
        """
        folder = _entry_folder(key)
        if not self._max_age:
            return False
        try:
            found: bool = await self._repeat(lambda: self._fetch_any(folder, target))
        except (StorageUnreachable, StorageRejected) as error:
            log.warning("cache cannot be read", key=key, error=error.message)
            return False
        return found

    async def _fetch_any(self, folder: str, target: Path) -> bool:
        async for entry in self._entries(folder):
            if await self._fetch_entry(entry, target):
                return True
        return False

    async def keep(self, key: str, path: Path) -> None:
        """Cache a finished file under the key. A failure to store it is logged, not raised."""
        folder = _entry_folder(key)
        if not self._max_age:
            return
        contents = await asyncio.to_thread(_read_contents, path)
        try:
            await self._repeat(lambda: self._storage.put(f"{folder}/{contents.name}", path))
        except (StorageUnreachable, StorageRejected, DiskFull) as error:
            log.warning("file was not cached", key=key, error=error.message)

    async def clean_up(self, *, interval: timedelta) -> int:
        """Delete expired files, unless a process did so within the interval. Return the number of deleted files.

        Raises StorageUnreachable or StorageRejected.
        """
        if not self._max_age or await self._cleaned_since(datetime.now(UTC) - interval):
            return 0
        deleted, started = 0, False
        async for page in self._storage.list_pages(_FOLDER):
            if not started:
                await self._storage.touch(_CLEANED_MARKER)
                started = True
            expired = [found.key for found in page if self._is_expired(found)]
            if expired:
                await self._storage.delete(expired)
            deleted += len(expired)
        return deleted

    async def _entries(self, folder: str) -> AsyncIterator["_Entry"]:
        async for page in self._storage.list_pages(folder):
            for found in page:
                if match := _ENTRY.fullmatch(found.key):
                    yield _Entry(found.key, _Contents(match["sha256"], int(match["size"])))

    async def _fetch_entry(self, entry: "_Entry", target: Path) -> bool:
        try:
            stored = self._storage.path(entry.key)
            if stored is None or not await asyncio.to_thread(_hard_link, stored, target):
                await self._storage.get(entry.key, target)
        except NotFound:  # deleted by a concurrent clean-up
            return False
        if await asyncio.to_thread(_read_contents, target) == entry.contents:
            return True
        log.warning("damaged file deleted from the cache", key=entry.key)
        await asyncio.to_thread(target.unlink)
        await self._storage.delete([entry.key])
        return False

    async def _cleaned_since(self, moment: datetime) -> bool:
        try:
            return (await self._storage.head(_CLEANED_MARKER)).modified_at > moment
        except NotFound:
            return False

    def _is_expired(self, found: StoredFileInfo) -> bool:
        # Only files that match the cache's own naming scheme are deleted.
        return bool(_ENTRY.fullmatch(found.key)) and found.modified_at < datetime.now(UTC) - self._max_age


@dataclass(frozen=True, slots=True)
class _Contents:
    """Identity of a file's contents."""

    sha256: str
    size: int

    @property
    def name(self) -> str:
        return f"{self.sha256}-{self.size}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A cached file: its storage key and the contents that the key promises."""

    key: str
    contents: _Contents


async def _run_once(action: Callable[[], Awaitable[Any]]) -> Any:
    return await action()


def _entry_folder(key: str) -> str:
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"a cache key is <kind>/<64 hexadecimal digits>, not '{key}'")
    return f"{_FOLDER}/{match['kind']}/{match['digest'][:2]}/{match['digest']}"


def _read_contents(path: Path) -> _Contents:
    return _Contents(sha256_of_file(path), path.stat().st_size)


def _hard_link(stored: Path, target: Path) -> bool:
    try:
        target.hardlink_to(stored)
    except OSError:  # another disk, or a file system without links
        return False
    return True
