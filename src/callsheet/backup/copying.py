"""Copy with a digest."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from callsheet.backup.manifest import StoredPart

CHUNK = 2**20


class DigestReader:
    """Reads a file, counts its bytes and computes its SHA-256."""

    def __init__(self, file: IO[bytes], on_read: Callable[[int], None] = lambda _: None) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._on_read = on_read
        self.size = 0

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to `size` bytes."""
        data = self._file.read(size)
        self._hash.update(data)
        self.size += len(data)
        self._on_read(len(data))
        return data

    def read_all(self) -> StoredPart:
        """Read to the end. Return size and digest of everything."""
        while self.read():
            pass
        return self.part

    @property
    def part(self) -> StoredPart:
        """Size and digest of what was read."""
        return StoredPart(size=self.size, sha256=self._hash.hexdigest())


def write_durably(source: DigestReader, target: Path, *, mode: int) -> StoredPart:
    """Write to a new file, which is on the disk when this returns. Return its size and digest."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while data := source.read():
            file.write(data)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    return source.part


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
