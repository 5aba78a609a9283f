"""Atomic file writes: a file appears under its name complete or not at all."""

import asyncio
import errno
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from callsheet.domain.errors import DiskFull

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of the operating system for a full disk or an exhausted quota."""


async def write_atomically(chunks: AsyncGenerator[bytes, None], target: Path) -> int:
    """Write the chunks to `<target>.part`, then rename it to `target`. Return the number of bytes.

    Raises DiskFull, and any error that `chunks` raises. The `.part` file is removed in that case.
    """
    part = target.with_name(target.name + ".part")
    try:
        with raise_disk_full(target.parent):
            size = await _write(chunks, part)
            await asyncio.to_thread(part.replace, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return size


async def _write(chunks: AsyncGenerator[bytes, None], part: Path) -> int:
    size = 0
    file = await asyncio.to_thread(part.open, "wb")
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                size += await asyncio.to_thread(file.write, chunk)
    finally:
        await asyncio.to_thread(file.close)
    return size


@contextmanager
def raise_disk_full(folder: Path) -> Iterator[None]:
    """Translate OSError for a full disk or an exhausted quota into DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise DiskFull(f"There is no space left in {folder}") from error
        raise
