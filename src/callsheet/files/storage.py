"""Files in a bucket or in a local folder."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Literal
from uuid import uuid4

import obstore
from obstore.store import LocalStore, S3Store
from pydantic import SecretStr

from callsheet.domain.errors import BadSource, ConfigurationError, NotFound, StorageUnreachable
from callsheet.files.atomic_write import write_atomically
from callsheet.files.bucket import endpoint_host, open_bucket
from callsheet.files.disposition import content_disposition
from callsheet.files.media_types import guess_media_type, is_safe_inline
from callsheet.files.object_keys import validate_key
from callsheet.files.presigned import add_download_name
from callsheet.files.storage_errors import translate_errors
from callsheet.settings import Settings

if TYPE_CHECKING:
    from obstore import GetOptions

_CHUNK = 2**20
_PAGE = 1000
_SINGLE_PUT = 16 * 2**20
_PART = 8 * 2**20
_MOST_PARTS = 9_000
"""S3 takes at most 10,000."""
_LONGEST_LIFETIME = timedelta(days=7)
"""S3 signs for no longer."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was put: `size` in bytes, `sha256` of its contents in hexadecimal."""

    key: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class StoredFileInfo:
    """What the storage knows about a file: `size` in bytes, `etag` for conditional requests."""

    key: str
    size: int
    media_type: str
    modified_at: datetime
    etag: str | None


def open_storage(settings: Settings) -> "Storage":
    """Return the storage that the settings name; a bucket is not contacted yet.

    Raises ConfigurationError when the settings do not fit together or the local folder cannot be made.
    """
    if settings.s3_bucket is None:
        return open_folder(settings.files_dir)
    place = f"bucket '{settings.s3_bucket}' at {endpoint_host(settings.s3_endpoint)}"
    return Storage(open_bucket(settings, settings.s3_bucket), place, secret=settings.s3_secret_key)


def open_folder(folder: Path) -> "Storage":
    """Return a storage in a local folder; raises ConfigurationError when the folder cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        root = folder.resolve(strict=True)
        store = LocalStore(prefix=root, mkdir=True, automatic_cleanup=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder for files, {folder}, cannot be used: {error.strerror or error}"
        ) from error
    return Storage(store, f"folder {root}", root=root)


class Storage:
    """Where finished files lie. Made by `open_storage`.

    Every method raises BadSource for a key that leads out of the storage, and StorageUnreachable when the bucket
    or the folder cannot be used.
    """

    def __init__(
        self, store: LocalStore | S3Store, place: str, *, root: Path | None = None, secret: SecretStr | None = None
    ) -> None:
        self._store = store
        self._place = place
        self._root = root
        self._secret = secret

    def __repr__(self) -> str:
        return f"<Storage: {self._place}>"

    @property
    def location(self) -> str:
        """The storage in words: `folder /data/files`, `bucket 'films' at minio:9000`."""
        return self._place

    async def put(self, key: str, path: Path, *, media_type: str | None = None) -> StoredFile:
        """Store a file under a key; it appears there whole, or not at all.

        Hashed on its way, in one pass. On a local disk it has reached the disk when this returns.
        Raises DiskFull.
        """
        self._check(key)
        kind = media_type or guess_media_type(key)
        file = await asyncio.to_thread(path.open, "rb")
        try:
            contents = _Contents(file)
            with translate_errors(self._place, key):
                await self._send(key, contents, kind)
                await asyncio.to_thread(self._settle, key)
        finally:
            await asyncio.to_thread(file.close)
        return StoredFile(key, contents.size, contents.sha256, kind)

    async def _send(self, key: str, contents: "_Contents", media_type: str) -> None:
        attributes = None if self._root else _attributes(key, media_type)
        expected = contents.expected_size
        if expected <= _SINGLE_PUT:
            data = b"".join([chunk async for chunk in contents])
            await obstore.put_async(self._store, key, data, attributes=attributes, use_multipart=False)
            return
        part = max(_PART, expected // _MOST_PARTS + 1)
        await obstore.put_async(self._store, key, contents, attributes=attributes, chunk_size=part, max_concurrency=4)

    def _settle(self, key: str) -> None:
        """Bring a local file and its folders to the disk, and protect it from being written to by mistake."""
        if self._root is None:
            return
        path = self._root / key
        path.chmod(path.stat().st_mode & 0o444)
        for place in (path, *path.parents):
            _fsync(place)
            if place == self._root:
                break

    async def get(self, key: str, target: Path) -> int:
        """Bring a file here; return its size. Raises NotFound, DiskFull."""
        return await write_atomically(self.stream(key), target)

    async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` up to, not including, `end`. Raises NotFound."""
        self._check(key)
        if end is not None and end <= start:
            return
        with translate_errors(self._place, key):
            result = await obstore.get_async(self._store, key, options=_part(start, end))
            async for chunk in result.stream(min_chunk_size=_CHUNK):
                yield chunk

    async def head(self, key: str) -> StoredFileInfo:
        """Return what is known of a file without reading it. Raises NotFound."""
        self._check(key)
        with translate_errors(self._place, key):
            result = await obstore.get_async(self._store, key, options={"head": True})
        kind = result.attributes.get("Content-Type") or guess_media_type(key)
        meta = result.meta
        return StoredFileInfo(key, meta["size"], kind, meta["last_modified"], meta["e_tag"])

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove files; those that are not there are passed over."""
        wanted = list(keys)
        for key in wanted:
            self._check(key)
        if self._root is None:
            with translate_errors(self._place, ", ".join(wanted[:3])):
                await obstore.delete_async(self._store, wanted)
            return
        for key in wanted:
            with suppress(NotFound), translate_errors(self._place, key):
                await obstore.delete_async(self._store, key)

    async def list_pages(self, folder: str) -> AsyncGenerator[list[StoredFileInfo], None]:
        """Yield all files in a folder and those below it, up to 1,000 at once; of a folder that is not there, none."""
        self._check(folder)
        with translate_errors(self._place, folder):
            async for page in obstore.list(self._store, folder, chunk_size=_PAGE):
                yield [
                    StoredFileInfo(m["path"], m["size"], guess_media_type(m["path"]), m["last_modified"], m["e_tag"])
                    for m in page
                ]

    async def touch(self, key: str) -> None:
        """Write an empty file, whose age then tells when this was."""
        self._check(key)
        with translate_errors(self._place, key):
            await obstore.put_async(self._store, key, b"", use_multipart=False)

    async def check(self) -> None:
        """Write, read and delete a tiny file. Raises StorageUnreachable or DiskFull in words for an operator."""
        key, data = f"callsheet-check/{uuid4()}", b"callsheet"
        with translate_errors(self._place, key):
            await obstore.put_async(self._store, key, data, use_multipart=False)
        try:
            read = b"".join([chunk async for chunk in self.stream(key)])
        finally:
            await self.delete([key])
        if read != data:
            raise StorageUnreachable(f"The {self._place} gave back other bytes than were stored")

    def sign(
        self,
        key: str,
        *,
        method: Literal["GET", "PUT"] = "GET",
        lifetime: timedelta,
        download_name: str | None = None,
    ) -> str | None:
        """Return a URL that works without credentials for a while; None for a local folder.

        With a `download_name` browsers save the file under that name instead of showing it; this needs the keys
        to come from the settings, otherwise the name stays that of the key.
        """
        self._check(key)
        if isinstance(self._store, LocalStore):
            return None
        if not timedelta(seconds=1) <= lifetime <= _LONGEST_LIFETIME:
            raise ValueError(f"a signed URL lives from one second to 7 days, not {lifetime}")
        with translate_errors(self._place, key):
            url = obstore.sign(self._store, method, key, lifetime)
        if download_name is None or self._secret is None:
            return url
        return add_download_name(url, self._secret.get_secret_value(), download_name, method=method)

    def path(self, key: str) -> Path | None:
        """Return where a file lies on the local disk, to be read only; None for a bucket. Raises NotFound."""
        self._check(key)
        if self._root is None:
            return None
        path = (self._root / key).resolve()
        if not path.is_file():
            raise NotFound(f"There is no file '{key}' in the storage", key=key)
        return path

    def _check(self, key: str) -> None:
        validate_key(key)
        if self._root is not None and not (self._root / key).resolve().is_relative_to(self._root):
            raise BadSource(f"'{key}' leads out of the storage")


class _Contents:
    """The chunks of an open file, counted and hashed as they pass."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        self.expected_size = os.fstat(file.fileno()).st_size

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await asyncio.to_thread(self._next):
            yield chunk

    def _next(self) -> bytes:
        chunk = self._file.read(_CHUNK)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk


def _part(start: int, end: int | None) -> "GetOptions":
    if end is not None:
        return {"range": (start, end)}
    # No range at all for a whole file: an empty one satisfies none.
    return {"range": {"offset": start}} if start else {}


def _attributes(key: str, media_type: str) -> dict[str, str]:
    name = PurePosixPath(key).name
    return {
        "Content-Type": media_type,
        "Content-Disposition": content_disposition(name, inline=is_safe_inline(media_type)),
    }


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
