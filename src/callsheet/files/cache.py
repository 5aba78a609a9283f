"""Finished work that is not done again: files in the storage, under names for their contents.

A file lies at `callsheet-cache/<kind>/<2 digits>/<digest>/<sha256>-<size>`. The digest names what the file was made of
and how; the last part tells what it holds, so that a damaged one is never handed out.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from callsheet.domain.errors import DiskFull, NotFound, StorageUnreachable
from callsheet.files.storage import Storage, StoredFileInfo

log = structlog.get_logger(__name__)

_PLACE = "callsheet-cache"
_TIDIED = f"{_PLACE}/tidied"
_KEY = re.compile(r"(?P<kind>[a-z][a-z0-9-]{0,31})/(?P<digest>[0-9a-f]{64})")
_ENTRY = re.compile(_PLACE + r"/[a-z0-9-]+/[0-9a-f]{2}/[0-9a-f]{64}/(?P<sha256>[0-9a-f]{64})-(?P<size>[0-9]+)")


def is_cache_key(key: str) -> bool:
    """Tell whether a storage key leads into the cache, also where the disk takes large letters for small ones."""
    return key.partition("/")[0].casefold() == _PLACE


class FileCache:
    """Keeps files in the storage for `max_age` after they were written; with none, it keeps nothing."""

    def __init__(self, storage: Storage, *, max_age: timedelta) -> None:
        self._storage = storage
        self._max_age = max_age

    async def fetch(self, key: str, target: Path) -> bool:
        """Bring what was kept under the key to `target`, to be read only; False when there is nothing.

        A storage that cannot be reached holds nothing. Raises DiskFull when there is no room at the target.
        """
        folder = _folder(key)
        if not self._max_age:
            return False
        try:
            async for entry in self._entries(folder):
                if await self._fetched(entry, target):
                    return True
        except StorageUnreachable as error:
            log.warning("the cache cannot be read", key=key, error=error.message)
        return False

    async def keep(self, key: str, path: Path) -> None:
        """Keep a finished file under the key, or log why it could not be kept."""
        folder = _folder(key)
        if not self._max_age:
            return
        contents = await asyncio.to_thread(_contents, path)
        try:
            await self._storage.put(f"{folder}/{contents.name}", path)
        except (StorageUnreachable, DiskFull) as error:
            log.warning("a file could not be kept in the cache", key=key, error=error.message)

    async def clean_up(self, *, interval: timedelta) -> int:
        """Remove what is too old, unless somebody did so within the interval; returns how many files.

        Raises StorageUnreachable.
        """
        if not self._max_age or await self._cleaned_since(datetime.now(UTC) - interval):
            return 0
        removed, begun = 0, False
        async for page in self._storage.list_pages(_PLACE):
            if not begun:
                await self._storage.touch(_TIDIED)
                begun = True
            old = [found.key for found in page if self._is_old(found)]
            if old:
                await self._storage.delete(old)
            removed += len(old)
        return removed

    async def _entries(self, folder: str) -> AsyncIterator["_Entry"]:
        async for page in self._storage.list_pages(folder):
            for found in page:
                if match := _ENTRY.fullmatch(found.key):
                    yield _Entry(found.key, _Contents(match["sha256"], int(match["size"])))

    async def _fetched(self, entry: "_Entry", target: Path) -> bool:
        try:
            stored = self._storage.path(entry.key)
            if stored is None or not await asyncio.to_thread(_linked, stored, target):
                await self._storage.get(entry.key, target)
        except NotFound:  # it was tidied away just now
            return False
        if await asyncio.to_thread(_contents, target) == entry.contents:
            return True
        log.warning("a damaged file was removed from the cache", key=entry.key)
        await asyncio.to_thread(target.unlink)
        await self._storage.delete([entry.key])
        return False

    async def _cleaned_since(self, moment: datetime) -> bool:
        try:
            return (await self._storage.head(_TIDIED)).modified_at > moment
        except NotFound:
            return False

    def _is_old(self, found: StoredFileInfo) -> bool:
        # Nothing else that may lie there is ours to remove.
        return bool(_ENTRY.fullmatch(found.key)) and found.modified_at < datetime.now(UTC) - self._max_age


@dataclass(frozen=True, slots=True)
class _Contents:
    sha256: str
    size: int

    @property
    def name(self) -> str:
        return f"{self.sha256}-{self.size}"


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    contents: _Contents


def _folder(key: str) -> str:
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"a cache key is <kind>/<64 hexadecimal digits>, not '{key}'")
    return f"{_PLACE}/{match['kind']}/{match['digest'][:2]}/{match['digest']}"


def _contents(path: Path) -> _Contents:
    with path.open("rb") as file:
        return _Contents(hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size)


def _linked(stored: Path, target: Path) -> bool:
    try:
        target.hardlink_to(stored)
    except OSError:  # another disk, or one without links
        return False
    return True
