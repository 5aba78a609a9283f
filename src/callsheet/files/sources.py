"""Media sources brought to where a job runs."""

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
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
_SHOWN = 200
_ARRIVING = ".arriving"
"""Finished files never begin with a dot: `safe_name` sees to it."""


class SourceOpener:
    """Brings media sources into the folders of jobs.

    `find_artifact` looks an artifact's record up by its id and raises NotFound.
    """

    def __init__(
        self, storage: Storage, settings: Settings, find_artifact: Callable[[UUID], Awaitable[Artifact]]
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._find_artifact = find_artifact
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def open(self, source: MediaSource, folder: Path) -> Path:
        """Return the path of the source's file, to be read only; its extension is kept.

        A local path is returned as it is, links resolved. Anything else lies in `folder/sources` afterwards,
        brought once however often it is opened there. Raises BadSource for what must not or cannot be used,
        SourceUnreachable, StorageUnreachable and DiskFull for what may come another time.
        """
        if source.kind is SourceKind.PATH:
            return await asyncio.to_thread(self._local, str(source.root))
        identity = f"artifact:{source.artifact_id}" if source.kind is SourceKind.ARTIFACT else str(source.root)
        place = folder / "sources" / hashlib.sha256(identity.encode()).hexdigest()[:20]
        async with self._locks.setdefault(place, asyncio.Lock()):
            if (here := await asyncio.to_thread(_arrived, place)) is not None:
                return here
            with raise_disk_full(folder):
                place.mkdir(parents=True, exist_ok=True)
                return await self._bring(source, place)

    async def _bring(self, source: MediaSource, place: Path) -> Path:
        text = str(source.root)
        if source.kind is SourceKind.ARTIFACT:
            return await self._artifact(source.artifact_id, place)
        if source.kind is SourceKind.KEY:
            key = validate_key(text[len("storage:") :])
            if is_cache_key(key):
                raise BadSource(f"'{text[:_SHOWN]}' cannot be used: what is cached is nobody's source")
            return await self._stored(key, safe_name(PurePosixPath(key).name), place)
        if source.kind is SourceKind.DATA:
            return await self._data(text, place)
        fetched = await fetch(text, place / _ARRIVING, self._settings)
        return fetched.path.replace(place / fetched.name)

    async def _artifact(self, artifact_id: UUID, place: Path) -> Path:
        # A record that came with the params may be forged; the one found by its id is not.
        try:
            artifact = await self._find_artifact(artifact_id)
        except NotFound:
            raise BadSource(f"There is no artifact {artifact_id}") from None
        return await self._stored(artifact.key, safe_name(artifact.name), place)

    async def _stored(self, key: str, name: str, place: Path) -> Path:
        try:
            path = self._storage.path(key)
            if path is not None:
                return await asyncio.to_thread(_linked, path, place / name)
            await self._storage.get(key, place / _ARRIVING)
        except NotFound as error:
            raise BadSource(error.message) from None
        return (place / _ARRIVING).replace(place / name)

    async def _data(self, uri: str, place: Path) -> Path:
        cap = self._settings.source_max_bytes
        kind, data = await asyncio.to_thread(_decoded, uri, cap)
        await write_atomically(_chunks(data), place / _ARRIVING)
        return (place / _ARRIVING).replace(place / f"data{suffix_for(kind)}")

    def _local(self, text: str) -> Path:
        roots = [root.expanduser().resolve() for root in self._settings.source_roots]
        named = text[:_SHOWN]
        if "://" in text:
            raise BadSource(f"'{named.split('://')[0]}://' is not a kind of source: use https://")
        if not roots:
            raise BadSource(f"'{named}' is a local path, and no folder may be read (CALLSHEET_SOURCE_ROOTS)")
        path = _resolved(roots[0] / text)
        if path is None or not any(path.is_relative_to(root) for root in roots):
            raise BadSource(f"'{named}' does not lie below a folder that may be read (CALLSHEET_SOURCE_ROOTS)")
        if not _is_readable_file(path):
            raise BadSource(f"There is no file '{named}' that may be read")
        return path


def _arrived(place: Path) -> Path | None:
    if not place.is_dir():
        return None
    return next((path for path in place.iterdir() if not path.name.startswith(".")), None)


def _linked(stored: Path, target: Path) -> Path:
    """Give a stored file a second name, so that it stays while the job runs, even if the storage drops it."""
    try:
        target.hardlink_to(stored)
    except OSError:  # another disk, or one without links
        return stored
    return target


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name too long
        return None


def _is_readable_file(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:
        return False


def _decoded(uri: str, cap: int) -> tuple[str, bytes]:
    head, comma, body = uri[len("data:") :].partition(",")
    if not comma:
        raise BadSource("A data URI has the form data:<media type>;base64,<data>; this one has no comma")
    kind, *flags = [part.strip().lower() for part in head.split(";")]
    data = unquote_to_bytes(body)
    if "base64" in flags:
        data = _from_base64(data)
    if len(data) > cap:
        raise BadSource(f"The data URI holds more than the {cap:,} bytes that are accepted")
    return kind or "text/plain", data


def _from_base64(data: bytes) -> bytes:
    compact = b"".join(data.split())
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        raise BadSource("The data URI is not valid base64") from None


async def _chunks(data: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]
