"""Public URLs of input files, for providers to fetch."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from callsheet.db.database import FOREVER, Database
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, NotFound
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.engine.reads.artifacts import find_artifact
from callsheet.files.cache import is_cache_key
from callsheet.files.object_keys import find_upload_keys, validate_key
from callsheet.files.signed_urls import signed_file_url, signed_upload_url, signing_key
from callsheet.files.ssrf_guard import is_public_host
from callsheet.files.storage import Storage
from callsheet.settings import Settings

_URL_TTL = timedelta(days=1)
"""Long, because a provider may queue a task before it fetches the inputs."""
_KEY_PREFIX = "storage:"


async def input_url(
    source: MediaSource, *, public_url: str | None, settings: Settings, storage: Storage, database: Database
) -> str | None:
    """Return a public URL of an artifact, a stored file or a web URL, or None if there is none.

    `public_url` is the base URL of a Callsheet server, for files on its local disk. A signed URL is valid for 24 hours.
    Raises BadSource for an unknown artifact and for a cache entry.
    """
    if source.kind is SourceKind.URL:
        return _if_public(str(source.root))
    if source.kind is SourceKind.KEY:
        key = _storage_key(source)
        return _presigned_url(storage, key) or await _upload_url(key, storage, settings, public_url)
    if source.kind is not SourceKind.ARTIFACT:
        return None
    artifact = await _find_artifact(source, database)
    return _presigned_url(storage, artifact.key) or await _signed_url(artifact, storage, settings, public_url)


def _storage_key(source: MediaSource) -> str:
    key = validate_key(str(source.root)[len(_KEY_PREFIX) :])
    if is_cache_key(key):
        raise BadSource(f"'{source.text}' is a cache entry and cannot be used as a source")
    return key


async def _find_artifact(source: MediaSource, database: Database) -> Artifact:
    try:
        return await find_artifact(database, source.artifact_id, timeout=FOREVER)
    except NotFound as error:
        raise BadSource(error.message) from None


def _presigned_url(storage: Storage, key: str) -> str | None:
    """Return a presigned URL of the bucket, or None if the bucket has no public address."""
    url = storage.sign(key, lifetime=_URL_TTL)
    return None if url is None else _if_public(url)


async def _signed_url(artifact: Artifact, storage: Storage, settings: Settings, public_url: str | None) -> str | None:
    """Return a signed URL of the Callsheet server, for files on the local disk of a server with a public URL."""
    is_local = storage.path(artifact.key) is not None
    if public_url is None or not is_local:
        return None
    key = await asyncio.to_thread(signing_key, settings)
    return signed_file_url(key, public_url, artifact.artifact_id, expires=datetime.now(UTC) + _URL_TTL)


async def _upload_url(object_key: str, storage: Storage, settings: Settings, public_url: str | None) -> str | None:
    """Return a signed URL of the Callsheet server for an upload on its local disk; None for other stored files."""
    if object_key not in find_upload_keys(f"{_KEY_PREFIX}{object_key}"):
        return None
    if public_url is None or storage.path(object_key) is None:
        return None
    key = await asyncio.to_thread(signing_key, settings)
    return signed_upload_url(key, public_url, object_key, expires=datetime.now(UTC) + _URL_TTL)


def _if_public(url: str) -> str | None:
    return url if is_public_host(urlsplit(url).hostname or "") else None
