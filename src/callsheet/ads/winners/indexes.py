"""The indexes of a process: brought up to date at each search, and built again in the background.

The table of winners is the truth. A search reads the changes since its snapshot, so it finds what is committed. After
many changes, a new index is built in a thread, written to the data folder, and takes the place of the one before at
once; searches that have begun keep theirs.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import structlog

from callsheet.ads.winners.filters import WinnerFilter
from callsheet.ads.winners.index_file import StoredIndex, load_index, save_index, stored_index
from callsheet.ads.winners.snapshot import Hit, Snapshot, new_snapshot, vectors_of
from callsheet.db.outages import DATABASE_ERRORS
from callsheet.domain.errors import CallsheetError, NotConfigured
from callsheet.embeddings.engines import INSTALL_WITH

if TYPE_CHECKING:
    from callsheet.embeddings.contract import Vectors

log = structlog.get_logger(__name__)
T = TypeVar("T")

Read = Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]
"""Runs a statement by its name, with its values by name, and returns its rows."""

_PAGE = 2000
"""Winners that are read at a time: 3 MB."""
_MAX_HELD = 1_000_000
"""Vectors in memory: of other tenants, those that were searched last."""


def why_no_index() -> str | None:
    """Return why nothing can be searched here; None if it can."""
    return None if find_spec("faiss") else f"faiss is not installed; run {INSTALL_WITH}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    hits: list[Hit]
    total: int
    """Winners that were searched."""
    outdated: int
    """Winners that were not, because their vectors are of another model."""


@dataclass(slots=True)
class _Entry:
    """The index of a tenant for a model."""

    snapshot: Snapshot | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    building: "asyncio.Task[None] | None" = None


class WinnerIndexes:
    """The indexes of this process, with their files in a folder. Use it in one event loop, and close it there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._searching = ThreadPoolExecutor(2, "winners")
        self._building = ThreadPoolExecutor(1, "winners-index")

    async def search(
        self,
        read: Read,
        tenant: str,
        model: str,
        vector: "Vectors",
        count: int,
        conditions: WinnerFilter | None = None,
    ) -> Found:
        """Return the winners of a tenant that are nearest to a vector of a model, best first.

        Only those that meet the conditions are searched. Raises NotConfigured without FAISS.
        """
        if (reason := why_no_index()) is not None:
            raise NotConfigured(reason)
        snapshot = await self._current(read, tenant, model)
        if snapshot is None:
            return Found([], 0, 0)
        if snapshot.size and snapshot.size != len(vector):
            raise NotConfigured(
                f"the embedding model makes vectors of {len(vector)} numbers, and those of the winners have "
                f"{snapshot.size}; set another model, or restart the server if its model was replaced"
            )
        total = snapshot.counts.get(model, 0)
        outdated = sum(snapshot.counts.values()) - total
        among = None
        if conditions is not None and not conditions.is_empty:
            # After the snapshot: what no longer meets them after a change is not found.
            rows = await read("matching_winners", tenant=tenant, model=model, **conditions.arguments())
            among = [row["number"] for row in rows]
            total = len(among)
        if among == []:
            return Found([], 0, outdated)
        hits = await self._in(self._searching, snapshot.nearest, vector, count, among)
        return Found(hits, total, outdated)

    async def built(self) -> None:
        """Wait until no index is being built."""
        while tasks := [entry.building for entry in self._entries.values() if entry.building is not None]:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop building, and forget all indexes. Their files stay."""
        tasks = [entry.building for entry in self._entries.values() if entry.building is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._entries.clear()
        for threads in (self._searching, self._building):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _current(self, read: Read, tenant: str, model: str) -> Snapshot | None:
        key = (tenant, model)
        entry = self._entries.pop(key) if key in self._entries else _Entry()
        self._entries[key] = entry  # the last one is the newest
        async with entry.lock:
            rows = await read("winner_version", tenant=tenant)
            if not rows:
                return None
            id, version = rows[0]["id"], rows[0]["version"]
            snapshot = entry.snapshot
            if snapshot is None or snapshot.id != id or snapshot.version > version:
                snapshot = new_snapshot(id, await self._load(id, model, version))
            if snapshot.version < version or not snapshot.counts:
                changes = [row async for page in _changes(read, tenant, model, snapshot.version) for row in page]
                counts = {row["model"]: row["winners"] for row in await read("count_winners", tenant=tenant)}
                snapshot = await self._in(self._searching, snapshot.with_changes, changes, version, counts)
            entry.snapshot = snapshot
        if snapshot.is_due and entry.building is None:
            entry.building = asyncio.create_task(self._build(read, tenant, model, entry), name="index of winners")
        self._forget_oldest()
        return snapshot

    async def _load(self, id: UUID, model: str, version: int) -> StoredIndex | None:
        stored = await self._in(self._searching, load_index, self._path(id, model))
        # A database that was restored from a backup is older than the file.
        return stored if stored is not None and stored.version <= version else None

    async def _build(self, read: Read, tenant: str, model: str, entry: _Entry) -> None:
        try:
            stored = await self._built_index(read, tenant, model)
            if stored is None:
                return
            id, index = stored
            async with entry.lock:
                if entry.snapshot is not None and entry.snapshot.id == id:
                    entry.snapshot = new_snapshot(id, index)  # the next search reads the changes since
            log.info("an index of winners was built", tenant=tenant, winners=index.count, version=index.version)
            await self._in(self._building, save_index, self._path(id, model), index)
        except (CallsheetError, OSError, *DATABASE_ERRORS) as error:
            log.warning("an index of winners was not built or written", tenant=tenant, error=str(error))
        finally:
            entry.building = None

    async def _built_index(self, read: Read, tenant: str, model: str) -> tuple[UUID, StoredIndex] | None:
        rows = await read("winner_version", tenant=tenant)
        pairs: dict[int, bytes | None] = {}
        async for page in _changes(read, tenant, model, 0):
            pairs |= {row["number"]: row["vector"] for row in page}
        if not rows or not any(pairs.values()):
            return None

        def build() -> StoredIndex:
            numbers, vectors = vectors_of(list(pairs.items()))
            return stored_index(numbers, vectors, rows[0]["version"])

        return rows[0]["id"], await self._in(self._building, build)

    def _forget_oldest(self) -> None:
        held = 0
        for key, entry in reversed(list(self._entries.items())):
            if (snapshot := entry.snapshot) is None:
                continue
            held += len(snapshot.numbers) + (0 if snapshot.stored is None else snapshot.stored.count)
            is_newest = key == next(reversed(self._entries))
            if held > _MAX_HELD and not is_newest and entry.building is None and not entry.lock.locked():
                del self._entries[key]

    def _path(self, id: UUID, model: str) -> Path:
        return self._folder / f"{id}-{hashlib.sha256(model.encode()).hexdigest()[:16]}.index"

    @staticmethod
    async def _in(threads: ThreadPoolExecutor, function: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, function, *values)


async def _changes(read: Read, tenant: str, model: str, version: int) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yield the winners that were changed after a version, oldest change first."""
    last = (version, 2**62)
    while rows := await read(
        "winner_changes",
        tenant=tenant,
        model=model,
        after_version=last[0],
        after_number=last[1],
        max_rows=_PAGE,
    ):
        yield rows
        last = (rows[-1]["version"], rows[-1]["number"])
