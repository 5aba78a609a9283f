"""Where a backup is written: a folder, or a tar file. It has its name once it is complete.

Until then it is named `<name>.part`, and locked, so that two backups do not write to the same place.
"""

import fcntl
import io
import os
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from callsheet.backup.copying import DigestReader, sync_folder, write_durably
from callsheet.backup.manifest import DUMP, MANIFEST, Manifest, StoredPart
from callsheet.domain.errors import Conflict

_PRIVATE = 0o600


class Target(ABC):
    """A backup that is being written."""

    dump: Path
    """The file that receives the dump of the database."""

    @abstractmethod
    def add(self, name: str, source: DigestReader, size: int) -> StoredPart:
        """Add a part of `size` bytes. Return its size and digest."""

    @abstractmethod
    def add_dump(self) -> StoredPart:
        """Add the dump that was written to `dump`."""

    def add_bytes(self, name: str, data: bytes) -> StoredPart:
        """Add a small part."""
        return self.add(name, DigestReader(io.BytesIO(data)), len(data))


@contextmanager
def open_target(path: Path) -> Iterator[Target]:
    """Write a backup: a tar file if the name ends with `.tar`, else a folder.

    `complete` gives it its name. Without it, and after an error, nothing is left. Raises Conflict if `path` exists, or
    another process writes it.
    """
    if path.exists():
        raise Conflict(f"{path} is there already; give another name")
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    is_tar = path.suffix == ".tar"
    if not is_tar:
        part.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(part, os.O_CREAT | os.O_RDWR if is_tar else os.O_RDONLY, _PRIVATE)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have completed, and renamed, what was opened here.
            is_current = os.path.samestat(os.fstat(lock), part.stat())
        except (BlockingIOError, FileNotFoundError):
            is_current = False
        if not is_current:
            raise Conflict(f"Another process writes a backup to {path}")
        try:
            with _TarTarget(part, lock) if is_tar else _FolderTarget(part) as target:
                yield target
        except BaseException:
            _remove(part)
            raise
    finally:
        os.close(lock)


def complete(target: Target, path: Path, manifest: Manifest) -> None:
    """Write the manifest, wait until all is on the disk, and give the backup its name."""
    target.add_bytes(MANIFEST, manifest.model_dump_json(indent=2).encode())
    assert isinstance(target, _FolderTarget | _TarTarget)  # noqa: S101 - made by open_target
    target.finish()
    if path.exists():
        raise Conflict(f"{path} is there already; give another name")
    target.part.rename(path)
    sync_folder(path.parent)


class _FolderTarget(Target):
    def __init__(self, part: Path) -> None:
        self.part = part
        self.dump = part / DUMP
        self._folders: set[Path] = set()

    def __enter__(self) -> "_FolderTarget":
        for left in self.part.iterdir():  # by a process that was killed
            _remove(left)
        self.dump.touch(mode=_PRIVATE)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, name: str, source: DigestReader, size: int) -> StoredPart:  # noqa: ARG002 - tar files need it
        target = self.part / name
        if target.parent not in self._folders:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folders.add(target.parent)
        return write_durably(source, target, mode=_PRIVATE)

    def add_dump(self) -> StoredPart:
        with self.dump.open("rb") as file:
            part = DigestReader(file).read_all()
            os.fsync(file.fileno())
        return part

    def finish(self) -> None:
        for folder in self._folders | {self.part}:
            sync_folder(folder)


class _TarTarget(Target):
    def __init__(self, part: Path, lock: int) -> None:
        self.part = part
        self.dump = part.with_name(part.name + "." + DUMP)
        os.truncate(lock, 0)
        self._file = os.fdopen(os.dup(lock), "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see __exit__

    def __enter__(self) -> "_TarTarget":
        self.dump.unlink(missing_ok=True)
        self.dump.touch(mode=_PRIVATE)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.dump.unlink(missing_ok=True)

    def add(self, name: str, source: DigestReader, size: int) -> StoredPart:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, _PRIVATE
        self._tar.addfile(member, cast("IO[bytes]", source))  # only `read` is used
        return source.part

    def add_dump(self) -> StoredPart:
        with self.dump.open("rb") as file:
            part = self.add(DUMP, DigestReader(file), os.fstat(file.fileno()).st_size)
        self.dump.unlink()
        return part

    def finish(self) -> None:
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
