"""Object storage: an S3 bucket or a local folder."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Literal, cast
from uuid import uuid4

import obstore
from obstore.store import LocalStore, S3Store
from pydantic import SecretStr

from callsheet.domain.errors import BadSource, CallsheetError, ConfigurationError, NotFound, StorageRejected
from callsheet.files.atomic_write import write_atomically
from callsheet.files.bucket import bucket_proxy, endpoint_host, open_bucket
from callsheet.files.disposition import content_disposition
from callsheet.files.media_types import guess_media_type, is_safe_inline
from callsheet.files.object_keys import validate_key
from callsheet.files.presigned import add_download_name
from callsheet.files.storage_errors import translate_errors
from callsheet.files.unfinished_files import delete_unfinished_file, unfinished_files
from callsheet.files.unfinished_uploads import UnfinishedUploads
from callsheet.settings import Settings

if TYPE_CHECKING:
    from obstore import GetOptions

StorageStep = Literal["write", "read", "list", "delete"]
"""A step of `Storage.probe`."""

_CHECK_FOLDER = "callsheet-check"
_CHUNK = 2**20
_PAGE_SIZE = 1000
_MAX_SINGLE_PUT = 16 * 2**20
_MIN_PART_SIZE = 8 * 2**20
_MAX_PARTS = 9_000
"""S3 accepts at most 10,000."""
_MAX_LIFETIME = timedelta(days=7)
"""Limit of S3 for presigned URLs."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Result of `Storage.put`: `size` in bytes, `sha256` of the contents in hexadecimal."""

    key: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class StoredFileInfo:
    """Metadata of a stored file: `size` in bytes."""

    key: str
    size: int
    media_type: str
    modified_at: datetime


def open_storage(settings: Settings) -> "Storage":
    """Return the configured storage. A bucket is not connected to yet.

    Raises ConfigurationError for inconsistent settings, or when the local folder cannot be created.
    """
    if settings.s3_bucket is None:
        return open_folder(settings.files_dir)
    location = f"bucket '{settings.s3_bucket}' at {endpoint_host(settings.s3_endpoint)}"
    if (proxy := bucket_proxy(settings)) is not None:
        location = f"{location}, through the {proxy}"
    return Storage(open_bucket(settings, settings.s3_bucket), location, secret=settings.s3_secret_key)


def open_folder(folder: Path) -> "Storage":
    """Return a storage in a local folder. Raises ConfigurationError when the folder cannot be created."""
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
    """Stores finished files under object keys. Created by `open_storage`.

        storage = open_storage(settings)
        stored = await storage.put("render/1/final.mp4", path)
        await storage.get(stored.key, tmp_path / "copy.mp4")

    Every method raises BadSource for an invalid key, StorageUnreachable when the bucket or the folder cannot be used at
    the moment, and StorageRejected when settings, credentials or permissions are wrong.
    """

    def __init__(
        self, store: LocalStore | S3Store, location: str, *, root: Path | None = None, secret: SecretStr | None = None
    ) -> None:
        self._store = store
        self._location = location
        self._root = root
        self._secret = secret

    def __repr__(self) -> str:
        return f"<Storage: {self._location}>"

    @property
    def location(self) -> str:
        """Description of the storage for messages: `folder /data/files`, `bucket 'videos' at minio:9000`."""
        return self._location

    async def put(self, key: str, path: Path, *, media_type: str | None = None) -> StoredFile:
        """Store a file under a key. It appears there complete or not at all.

        The file is read once; its SHA-256 is computed on the way. In a local folder, the file and its directories
        are fsynced before this returns. Raises DiskFull.
        """
        self._check(key)
        content_type = media_type or guess_media_type(key)
        file = await asyncio.to_thread(path.open, "rb")
        try:
            contents = _HashedFile(file)
            with translate_errors(self._location, key):
                await self._upload(key, contents, content_type)
                await asyncio.to_thread(self._make_durable, key)
        finally:
            await asyncio.to_thread(file.close)
        return StoredFile(key, contents.size, contents.sha256, content_type)

    async def _upload(self, key: str, contents: "_HashedFile", media_type: str) -> None:
        attributes = None if self._root else _attributes(key, media_type)
        expected = contents.expected_size
        if expected <= _MAX_SINGLE_PUT:
            data = b"".join([chunk async for chunk in contents])
            await obstore.put_async(self._store, key, data, attributes=attributes, use_multipart=False)
            return
        part_size = max(_MIN_PART_SIZE, expected // _MAX_PARTS + 1)
        await obstore.put_async(
            self._store, key, contents, attributes=attributes, chunk_size=part_size, max_concurrency=4
        )

    def _make_durable(self, key: str) -> None:
        """Fsync a local file and its directories, and make the file read-only."""
        if self._root is None:
            return
        path = self._root / key
        path.chmod(path.stat().st_mode & 0o444)
        for entry in (path, *path.parents):
            _fsync(entry)
            if entry == self._root:
                break

    async def get(self, key: str, target: Path) -> int:
        """Copy a stored file to `target`. Return its size in bytes. Raises NotFound and DiskFull."""
        return await write_atomically(self.stream(key), target)

    async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` (inclusive) to `end` (exclusive; default: the end). Raises NotFound."""
        self._check(key)
        if end is not None and end <= start:
            return
        with translate_errors(self._location, key):
            result = await obstore.get_async(self._store, key, options=_range_options(start, end))
            async for chunk in result.stream(min_chunk_size=_CHUNK):
                yield chunk

    async def head(self, key: str) -> StoredFileInfo:
        """Return a file's metadata without reading its contents. Raises NotFound."""
        self._check(key)
        with translate_errors(self._location, key):
            result = await obstore.get_async(self._store, key, options={"head": True})
        media_type = result.attributes.get("Content-Type") or guess_media_type(key)
        meta = result.meta
        return StoredFileInfo(key, meta["size"], media_type, meta["last_modified"])

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete files. Missing files are ignored. A file that the bucket refuses to delete is an error."""
        all_keys = list(keys)
        for key in all_keys:
            self._check(key)
        if self._root is None:
            with translate_errors(self._location, ", ".join(all_keys[:3])):
                await obstore.delete_async(self._store, all_keys)
            return
        for key in all_keys:
            with suppress(NotFound), translate_errors(self._location, key):
                await obstore.delete_async(self._store, key)

    async def copy(self, key: str, target: str) -> None:
        """Make a stored file available under a second key. In a folder it is a link. Raises NotFound."""
        self._check(key)
        self._check(target)
        with translate_errors(self._location, key):
            await obstore.copy_async(self._store, key, target)
        await asyncio.to_thread(self._make_durable, target)

    async def list_pages(self, folder: str) -> AsyncGenerator[list[StoredFileInfo], None]:
        """Yield pages of up to 1,000 files in a folder and its subfolders; nothing for a missing folder."""
        self._check(folder)
        async for page in self._list(folder):
            yield page

    async def list_all_pages(self) -> AsyncGenerator[list[StoredFileInfo], None]:
        """Yield pages of up to 1,000 files of the whole storage, also those of other programs, in any order."""
        async for page in self._list(None):
            yield page

    async def _list(self, folder: str | None) -> AsyncGenerator[list[StoredFileInfo], None]:
        with translate_errors(self._location, folder or "/"):
            async for page in obstore.list(self._store, folder, chunk_size=_PAGE_SIZE):
                yield [
                    StoredFileInfo(m["path"], m["size"], guess_media_type(m["path"]), m["last_modified"]) for m in page
                ]

    async def list_unfinished_pages(self) -> AsyncGenerator[list[StoredFileInfo], None]:
        """Yield pages of files in a folder whose writer has not finished them, or has died; nothing for a bucket."""
        if self._root is None:
            return
        found = unfinished_files(self._root)
        while page := await asyncio.to_thread(lambda: list(islice(found, _PAGE_SIZE))):
            yield [StoredFileInfo(each.key, each.size, "", each.modified_at) for each in page]

    async def delete_unfinished(self, key: str, *, before: datetime) -> bool:
        """Delete an unfinished file that was not written to since a time. Return whether it was deleted."""
        return self._root is not None and await asyncio.to_thread(delete_unfinished_file, self._root, key, before)

    async def abort_unfinished_uploads(self, *, before: datetime) -> int:
        """Abort uploads of parts that started before a time and were never completed. Return their number.

        Only for a bucket whose secret key is in the settings; with another source of credentials, let a lifecycle rule
        of the bucket abort them.
        """
        if isinstance(self._store, LocalStore) or self._secret is None:
            return 0
        return await UnfinishedUploads(self._store, self._secret.get_secret_value(), self._location).abort(
            before=before
        )

    async def touch(self, key: str) -> None:
        """Write an empty file. Its modification time records the moment."""
        self._check(key)
        with translate_errors(self._location, key):
            await obstore.put_async(self._store, key, b"", use_multipart=False)

    async def check(self) -> None:
        """Write, read, list and delete a small file.

        Raises StorageUnreachable, StorageRejected or DiskFull with a message for operators.
        """
        for problem in (await self.probe()).values():
            if problem is not None:
                raise problem

    async def probe(self) -> dict[StorageStep, CallsheetError | None]:
        """Write, read, list and delete a small file, and return what is wrong with each step; None: it works.

        Without a written file, the other steps are left out.

            {"write": None, "read": None, "list": None, "delete": StorageRejected("Access to bucket …")}
        """
        key, data = f"{_CHECK_FOLDER}/{uuid4()}", b"callsheet"
        problems = {"write": await self._problem(self._put_small(key, data))}
        if problems["write"] is None:
            problems["read"] = await self._problem(self._read_back(key, data))
            problems["list"] = await self._problem(self._find_in_list(key))
            problems["delete"] = await self._problem(self._delete_and_look(key, can_list=problems["list"] is None))
        return cast(dict[StorageStep, CallsheetError | None], problems)

    async def _problem(self, step: Coroutine[Any, Any, None]) -> CallsheetError | None:
        try:
            await step
        except NotFound:
            return StorageRejected(f"The {self._location} does not return a file that was just stored")
        except CallsheetError as error:
            return error
        return None

    async def _put_small(self, key: str, data: bytes) -> None:
        with translate_errors(self._location, key):
            await obstore.put_async(self._store, key, data, use_multipart=False)

    async def _read_back(self, key: str, data: bytes) -> None:
        if b"".join([chunk async for chunk in self.stream(key)]) != data:
            raise StorageRejected(f"The {self._location} returned other bytes than were stored")

    async def _find_in_list(self, key: str) -> None:
        if not await self._is_listed(key):
            raise StorageRejected(f"The {self._location} does not list a file that was just stored")

    async def _delete_and_look(self, key: str, *, can_list: bool) -> None:
        await self.delete([key])
        if can_list and await self._is_listed(key):
            raise StorageRejected(f"The {self._location} still lists a file after its deletion")

    async def _is_listed(self, key: str) -> bool:
        return key in {found.key async for page in self.list_pages(_CHECK_FOLDER) for found in page}

    def sign(
        self,
        key: str,
        *,
        method: Literal["GET", "PUT"] = "GET",
        lifetime: timedelta,
        download_name: str | None = None,
    ) -> str | None:
        """Return a URL that is valid for `lifetime` (1 second to 7 days) without credentials; None for a local folder.

        With a `download_name`, browsers save the file under that name instead of displaying it. This needs the
        secret key from the settings; without it, the file name of the key is used. Raises ValueError for a lifetime
        out of range.
        """
        self._check(key)
        if isinstance(self._store, LocalStore):
            return None
        if not timedelta(seconds=1) <= lifetime <= _MAX_LIFETIME:
            raise ValueError(f"the lifetime of a signed URL is 1 second to 7 days, not {lifetime}")
        with translate_errors(self._location, key):
            url = obstore.sign(self._store, method, key, lifetime)
        if download_name is None or self._secret is None:
            return url
        return add_download_name(url, self._secret.get_secret_value(), download_name, method=method)

    def path(self, key: str) -> Path | None:
        """Return the local path of a file, read-only; None for a bucket. Raises NotFound."""
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
            raise BadSource(f"'{key}' is outside the storage")


class _HashedFile:
    """Async iterator over an open file that counts and hashes the chunks."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        self.expected_size = os.fstat(file.fileno()).st_size

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await asyncio.to_thread(self._read_chunk):
            yield chunk

    def _read_chunk(self) -> bytes:
        chunk = self._file.read(_CHUNK)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk


def _range_options(start: int, end: int | None) -> "GetOptions":
    if end is not None:
        return {"range": (start, end)}
    # No range option for a whole file: S3 cannot satisfy a range on an empty file.
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
