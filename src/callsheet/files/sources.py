"""Fetches media sources into the working folder of a job."""

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_to_bytes
from uuid import UUID
from weakref import WeakValueDictionary

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, NotFound
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.files.atomic_write import raise_disk_full, write_atomically
from callsheet.files.cache import is_cache_key
from callsheet.files.fetch import fetch
from callsheet.files.media_types import suffix_for
from callsheet.files.object_keys import safe_name, validate_key
from callsheet.files.storage import Storage
from callsheet.settings import Settings

_CHUNK = 2**20
_MAX_SHOWN = 200
_INCOMPLETE = ".incomplete"
"""Name of a file during its download. Finished files never start with a dot, as `safe_name` removes it."""


class SourceOpener:
    """Fetches media sources into the working folders of jobs.

    `find_artifact` returns an artifact's record by its id, and raises NotFound.
    """

    def __init__(
        self, storage: Storage, settings: Settings, find_artifact: Callable[[UUID], Awaitable[Artifact]]
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._find_artifact = find_artifact
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def open(self, source: MediaSource, folder: Path) -> Path:
        """Return the path of the source's file, read-only, with its extension.

        A local path is returned with its links resolved, without a copy. Any other source is fetched into
        `folder/sources`, once per folder even for concurrent calls. Raises BadSource for a source that is not allowed
        or not usable, and SourceUnreachable, StorageUnreachable or DiskFull for temporary failures.
        """
        if source.kind is SourceKind.PATH:
            return await asyncio.to_thread(resolve_local, str(source.root), self._settings.source_roots)
        identity = f"artifact:{source.artifact_id}" if source.kind is SourceKind.ARTIFACT else str(source.root)
        place = folder / "sources" / hashlib.sha256(identity.encode()).hexdigest()[:20]
        async with self._locks.setdefault(place, asyncio.Lock()):
            if (fetched := await asyncio.to_thread(_find_fetched, place)) is not None:
                return fetched
            with raise_disk_full(folder):
                place.mkdir(parents=True, exist_ok=True)
                return await self._fetch(source, place)

    async def _fetch(self, source: MediaSource, place: Path) -> Path:
        text = str(source.root)
        if source.kind is SourceKind.ARTIFACT:
            return await self._fetch_artifact(source.artifact_id, place)
        if source.kind is SourceKind.KEY:
            key = validate_key(text[len("storage:") :])
            if is_cache_key(key):
                raise BadSource(f"'{text[:_MAX_SHOWN]}' is a cache entry and cannot be used as a source")
            return await self._fetch_stored(key, safe_name(PurePosixPath(key).name), place)
        if source.kind is SourceKind.DATA:
            return await self._write_data(text, place)
        fetched = await fetch(text, place / _INCOMPLETE, self._settings)
        return fetched.path.replace(place / fetched.name)

    async def _fetch_artifact(self, artifact_id: UUID, place: Path) -> Path:
        # The record in the params may be forged by the client, so the stored record is used.
        try:
            artifact = await self._find_artifact(artifact_id)
        except NotFound:
            raise BadSource(f"There is no artifact {artifact_id}") from None
        return await self._fetch_stored(artifact.key, safe_name(artifact.name), place)

    async def _fetch_stored(self, key: str, name: str, place: Path) -> Path:
        try:
            path = self._storage.path(key)
            if path is not None:
                return await asyncio.to_thread(_hard_link, path, place / name)
            await self._storage.get(key, place / _INCOMPLETE)
        except NotFound as error:
            raise BadSource(error.message) from None
        return (place / _INCOMPLETE).replace(place / name)

    async def _write_data(self, uri: str, place: Path) -> Path:
        max_bytes = self._settings.source_max_bytes
        media_type, data = await asyncio.to_thread(_decode_data_uri, uri, max_bytes)
        await write_atomically(_chunks(data), place / _INCOMPLETE)
        return (place / _INCOMPLETE).replace(place / f"data{suffix_for(media_type)}")


def resolve_local(text: str, folders: Sequence[Path]) -> Path:
    """Return the absolute path of a local file, with its links resolved. Relative paths start at the first folder.

    Raises BadSource if it is no readable file inside one of the folders.
    """
    roots = [root.expanduser().resolve() for root in folders]
    shown = text[:_MAX_SHOWN]
    if "://" in text:
        raise BadSource(f"'{shown.split('://')[0]}://' is not a supported scheme: use https://")
    if not roots:
        raise BadSource(
            f"'{shown}' is a local path, but no folder is allowed (CALLSHEET_SOURCE_ROOTS). `callsheet submit` uploads "
            "local files"
        )
    path = _resolve_path(roots[0] / text)
    if path is None or not any(path.is_relative_to(root) for root in roots):
        raise BadSource(f"'{shown}' is outside the allowed folders (CALLSHEET_SOURCE_ROOTS)")
    if not _is_readable_file(path):
        raise BadSource(f"There is no readable file '{shown}'")
    return path


def _find_fetched(place: Path) -> Path | None:
    if not place.is_dir():
        return None
    return next((path for path in place.iterdir() if not path.name.startswith(".")), None)


def _hard_link(stored: Path, target: Path) -> Path:
    """Hard-link a stored file, so that the job keeps it even if the storage deletes it meanwhile."""
    try:
        target.hardlink_to(stored)
    except OSError:  # another disk, or a file system without links
        return stored
    return target


def _resolve_path(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a symlink loop, or a name that is too long
        return None


def _is_readable_file(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:
        return False


def _decode_data_uri(uri: str, max_bytes: int) -> tuple[str, bytes]:
    head, comma, body = uri[len("data:") :].partition(",")
    if not comma:
        raise BadSource("A data URI has the form data:<media type>;base64,<data>; this one has no comma")
    media_type, *flags = [part.strip().lower() for part in head.split(";")]
    data = unquote_to_bytes(body)
    if "base64" in flags:
        data = _decode_base64(data)
    if len(data) > max_bytes:
        raise BadSource(f"The data URI is larger than the limit of {max_bytes:,} bytes")
    return media_type or "text/plain", data


def _decode_base64(data: bytes) -> bytes:
    compact = b"".join(data.split())
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        raise BadSource("The data URI is not valid base64") from None


async def _chunks(data: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]
