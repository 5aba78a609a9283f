"""Read artifacts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import NotFound
from callsheet.domain.records import StoredArtifact
from callsheet.engine.reads.id_times import id_range

SignUrl = Callable[[Artifact], tuple[str, datetime]]
"""Returns the signed URL of an artifact and its expiry time."""


async def get_artifact(database: Database, artifact_id: UUID, sign: SignUrl) -> StoredArtifact:
    """Return an artifact with a signed URL. Raises NotFound."""
    row = await database.retry(lambda c: sql.get_artifact(c, id=artifact_id), timeout=5)
    if row is None:
        raise NotFound(f"There is no artifact {artifact_id}.")
    return stored_artifact(row, sign)


async def find_artifact(database: Database, artifact_id: UUID, *, timeout: float = 60) -> Artifact:
    """Return an artifact without a URL. Raises NotFound, and DatabaseUnavailable after `timeout` seconds."""
    row = await database.retry(lambda c: sql.get_artifact(c, id=artifact_id), timeout=timeout)
    if row is None:
        raise NotFound(f"There is no artifact {artifact_id}.")
    return Artifact(**_fields(row))


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """Filter of a list of artifacts; None matches all."""

    execution_id: UUID | None = None
    kind: str | None = None
    """First part of the media type: video, image, audio…"""
    name: str | None = None
    """The whole name."""
    created_after: datetime | None = None
    created_before: datetime | None = None


async def list_artifacts(
    database: Database, filters: ArtifactFilter, sign: SignUrl, *, before: UUID | None, limit: int
) -> list[StoredArtifact]:
    """Return one page of artifacts, newest first. `before` is the last id of the previous page."""
    first, last = id_range(filters.created_after, filters.created_before)
    rows = await database.retry(
        lambda c: sql.list_artifacts(
            c,
            execution_id=filters.execution_id,
            kind=filters.kind,
            name=filters.name,
            first_id=first,
            last_id=last,
            before=before,
            limit=limit,
        ),
        timeout=5,
    )
    return [stored_artifact(row, sign) for row in rows]


def stored_artifact(row: Mapping[str, Any], sign: SignUrl) -> StoredArtifact:
    """Build an artifact from its row."""
    url, expires = sign(Artifact(**_fields(row)))
    return StoredArtifact(
        **_fields(row),
        execution_id=row["execution_id"],
        job_id=row["job_id"],
        job_record_id=row["job"],
        created_at=row["created_at"],
        url=url,
        url_expires_at=expires,
        from_unfinished_run=row["from_unfinished_run"],
    )


def signed_artifact(artifact: StoredArtifact, sign: SignUrl) -> StoredArtifact:
    """Return an artifact with a signed URL."""
    url, expires = sign(artifact)
    return artifact.model_copy(update={"url": url, "url_expires_at": expires})


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "artifact_id": row["id"],
        "name": row["name"],
        "key": row["key"],
        "media_type": row["media_type"],
        "size": row["size"],
        "sha256": row["sha256"],
        "probe": orjson.loads(row["probe"]) if row["probe"] else None,
    }
