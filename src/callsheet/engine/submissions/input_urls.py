"""Public URLs of a job's input files, for providers to download."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from callsheet.db.database import Database
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, NotFound
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.engine.reads.views import find_artifact
from callsheet.files.cache import is_cache_key
from callsheet.files.object_keys import validate_key
from callsheet.files.signed_urls import signed_file_url, signing_key
from callsheet.files.ssrf_guard import is_public_host
from callsheet.files.storage import Storage
from callsheet.settings import Settings

_LIFETIME = timedelta(days=1)
"""Lifetime of an input URL. A provider may queue a task for hours before it downloads the inputs."""
_KEY = "storage:"


async def input_url(source: MediaSource, *, settings: Settings, storage: Storage, database: Database) -> str | None:
    """Return a URL at which a provider can download a source; None when the source is not publicly reachable.

    Raises BadSource for a source that must not be used.
    """
    if source.kind is SourceKind.URL:
        return _public(str(source.root))
    if source.kind is SourceKind.KEY:
        return _presigned(storage, _key_of(source))
    if source.kind is not SourceKind.ARTIFACT:
        return None
    artifact = await _found(source, database)
    return _presigned(storage, artifact.key) or await _signed(artifact, storage, settings)


def _key_of(source: MediaSource) -> str:
    key = validate_key(str(source.root)[len(_KEY) :])
    if is_cache_key(key):
        raise BadSource(f"'{source.text}' is a cache entry and cannot be used as a source")
    return key


async def _found(source: MediaSource, database: Database) -> Artifact:
    try:
        return await find_artifact(database, source.artifact_id)
    except NotFound as error:
        raise BadSource(error.message) from None


def _presigned(storage: Storage, key: str) -> str | None:
    """Return a presigned URL of the bucket; None for a local folder, or an endpoint in a private network."""
    url = storage.sign(key, lifetime=_LIFETIME)
    return None if url is None else _public(url)


def _public(url: str) -> str | None:
    return url if is_public_host(urlsplit(url).hostname or "") else None


async def _signed(artifact: Artifact, storage: Storage, settings: Settings) -> str | None:
    is_local = storage.path(artifact.key) is not None
    if settings.public_url is None or not is_local:
        return None
    key = await asyncio.to_thread(signing_key, settings)
    return signed_file_url(key, settings.public_url, artifact.artifact_id, expires=datetime.now(UTC) + _LIFETIME)
