"""Addresses at which others, such as providers, can fetch the input files of a job."""

import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from callsheet.db.database import Database
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, NotFound
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.engine.reads.views import find_artifact
from callsheet.files.cache import is_cache_key
from callsheet.files.object_keys import validate_key
from callsheet.files.signed_urls import sign_path, signing_key
from callsheet.files.storage import Storage
from callsheet.settings import Settings

_LIFETIME = timedelta(days=1)
"""A provider may take its time before it begins."""
_KEY = "storage:"


async def input_url(source: MediaSource, *, settings: Settings, storage: Storage, database: Database) -> str | None:
    """Return an address for an artifact, a file in the storage or one in the web; None when others cannot reach it.

    Raises BadSource for a file that must not be used.
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
        raise BadSource(f"'{source.text}' cannot be used: what is cached is nobody's source")
    return key


async def _found(source: MediaSource, database: Database) -> Artifact:
    try:
        return await find_artifact(database, source.artifact_id)
    except NotFound as error:
        raise BadSource(error.message) from None


def _presigned(storage: Storage, key: str) -> str | None:
    """Return an address in the bucket, unless that stands where only its neighbours reach it."""
    url = storage.sign(key, lifetime=_LIFETIME)
    return None if url is None else _public(url)


def _public(url: str) -> str | None:
    return url if _is_public(urlsplit(url).hostname or "") else None


async def _signed(artifact: Artifact, storage: Storage, settings: Settings) -> str | None:
    is_local = storage.path(artifact.key) is not None
    if settings.public_url is None or not is_local:
        return None
    path = f"/files/{artifact.artifact_id}"
    key = await asyncio.to_thread(signing_key, settings)
    return f"{settings.public_url.rstrip('/')}{path}{sign_path(key, path, expires=datetime.now(UTC) + _LIFETIME)}"


def _is_public(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal"))
