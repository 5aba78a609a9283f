"""Read a backup: a folder, or a tar file."""

import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from callsheet.backup.copying import DigestReader
from callsheet.backup.manifest import FILE_LIST, FILES, MANIFEST, Manifest, StoredFile, StoredPart, parse_manifest
from callsheet.domain.errors import BadInput, NotFound
from callsheet.files.object_keys import validate_key


class Source(ABC):
    """A backup that is being read."""

    manifest: Manifest

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """Open a part. Raises NotFound."""

    def files(self) -> Iterator[StoredFile]:
        """Yield the files of the storage, after the list of them was verified."""
        listed = self.manifest.files.list
        if listed is None:
            return
        with self.open(FILE_LIST) as file:
            check_part(FILE_LIST, DigestReader(file).read_all(), listed)
        with self.open(FILE_LIST) as file:
            for line in file:
                found = StoredFile.model_validate_json(line)
                validate_key(found.key)
                yield found

    def open_file(self, key: str) -> IO[bytes]:
        """Open a file of the storage. Raises NotFound."""
        return self.open(FILES + key)


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a backup. Raises NotFound, and BadInput for an incomplete one and for something else."""
    if path.is_dir():
        yield _FolderSource(path)
        return
    try:
        tar = tarfile.open(path, mode="r:")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise NotFound(f"There is no backup {path}") from None
    except tarfile.TarError as error:
        raise BadInput(f"{path} is neither a folder nor a tar file with a backup ({error})") from None
    with tar:
        yield _TarSource(path, tar)


def check_part(name: str, found: StoredPart, expected: StoredPart) -> None:
    """Raise BadInput if a part is not what the manifest says."""
    if (found.size, found.sha256) != (expected.size, expected.sha256):
        raise BadInput(
            f"The backup is damaged: {name} has {found.size:,} bytes and the SHA-256 {found.sha256}, instead of "
            f"{expected.size:,} bytes and {expected.sha256}"
        )


def _no_manifest(path: Path) -> BadInput:
    return BadInput(f"{path} is not a complete backup: it has no {MANIFEST}, which is written last")


class _FolderSource(Source):
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            data = (path / MANIFEST).read_bytes()
        except FileNotFoundError:
            raise _no_manifest(path) from None
        self.manifest = parse_manifest(data)

    def open(self, name: str) -> IO[bytes]:
        try:
            return (self._path / name).open("rb")
        except FileNotFoundError:
            raise NotFound(f"The backup is damaged: {name} is missing") from None


class _TarSource(Source):
    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._tar = tar
        try:
            names = tar.getnames()
        except tarfile.TarError:
            names = []
        if MANIFEST not in names:
            raise _no_manifest(path)
        with self.open(MANIFEST) as file:
            self.manifest = parse_manifest(file.read())

    def open(self, name: str) -> IO[bytes]:
        try:
            file = self._tar.extractfile(name)
        except KeyError:
            file = None
        if file is None:
            raise NotFound(f"The backup is damaged: {name} is missing")
        return file
