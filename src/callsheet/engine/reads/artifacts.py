"""Read artifacts."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import NotFound
from callsheet.domain.records import StoredArtifact

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
