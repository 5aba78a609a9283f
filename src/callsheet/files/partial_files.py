"""Files that arrive in parts: each part continues where the file ends."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from callsheet.domain.errors import OffsetConflict, TooLarge
from callsheet.files.atomic_write import raise_disk_full

_BLOCK = 2**20


class PartialFiles:
    """The incomplete files in one folder, by id. Their length is the offset of the next part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in_use: set[UUID] = set()

    def path(self, id: UUID) -> Path:
        """Return the path of a file. It does not exist before the first part."""
        return self._folder / f"{id}.part"

    def offset(self, id: UUID) -> int:
        """Return the number of bytes that have arrived."""
        try:
            return self.path(id).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def exclusive(self, id: UUID) -> Iterator[None]:
        """Reserve a file for one request. Raises OffsetConflict while another request has it."""
        if id in self._in_use:
            raise OffsetConflict("Another request is sending this file; try again when it has ended.")
        self._in_use.add(id)
        try:
            yield
        finally:
            self._in_use.discard(id)

    async def append(self, id: UUID, chunks: AsyncIterator[bytes], *, offset: int, size: int) -> None:
        """Append chunks at `offset`. `size` is the length of the complete file, in bytes.

        What has arrived stays, also after an error of `chunks`. Raises OffsetConflict if the file does not end at
        `offset`, TooLarge for bytes beyond `size`, and DiskFull.
        """
        end = await asyncio.to_thread(self.offset, id)
        if offset != end:
            raise OffsetConflict(f"The upload continues at byte {end}, not at byte {offset}.")
        with raise_disk_full(self._folder):
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
            file = await asyncio.to_thread(self.path(id).open, "ab")
            try:
                async with aclosing(_blocks(chunks)) as blocks:
                    async for block in blocks:
                        end += len(block)
                        if end > size:
                            raise TooLarge(f"More than the announced {size:,} bytes were sent.")
                        await asyncio.to_thread(file.write, block)
            finally:
                await asyncio.to_thread(file.close)

    def remove(self, id: UUID) -> None:
        """Delete a file, if it exists."""
        self.path(id).unlink(missing_ok=True)

    def remove_older_than(self, max_age: timedelta) -> int:
        """Delete the files that have not grown for this time. Return their number."""
        oldest = time.time() - max_age.total_seconds()
        removed = 0
        for path in self._folder.glob("*.part"):
            # Another request may complete the file meanwhile.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
                    removed += 1
        return removed


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Join small chunks to blocks of a megabyte. After an error of `chunks`, the rest comes before the error."""
    pending = bytearray()
    try:
        async for chunk in chunks:
            pending += chunk
            if len(pending) >= _BLOCK:
                yield bytes(pending)
                pending.clear()
    except Exception:
        yield bytes(pending)
        raise
    yield bytes(pending)
