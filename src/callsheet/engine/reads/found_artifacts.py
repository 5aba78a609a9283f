"""Find artifacts: by a text, and by an example."""

from uuid import UUID

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.records import StoredArtifact
from callsheet.engine.reads.artifacts import ArtifactFilter, SignUrl, stored_artifact

MOST_SEARCHED = 20_000
"""Newest artifacts that are searched."""
_LIKE_SPECIAL = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


async def search_artifacts(
    database: Database, text: str, filters: ArtifactFilter, sign: SignUrl, *, before: UUID | None, limit: int
) -> list[StoredArtifact]:
    """Return artifacts, newest first, whose name, job, operation, prompt or execution contains a text."""
    rows = await database.retry(
        lambda c: sql.search_artifacts(
            c,
            pattern=f"%{text.translate(_LIKE_SPECIAL)}%",
            execution_id=filters.execution_id,
            kind=filters.kind,
            before=before,
            newest=MOST_SEARCHED,
            limit=limit,
        ),
        timeout=10,
    )
    return [stored_artifact(row, sign) for row in rows]


async def similar_artifacts(database: Database, example: UUID, sign: SignUrl, *, limit: int) -> list[StoredArtifact]:
    """Return artifacts like an example, the most similar first.

    Similar are those that were made alike: by a prompt with the same words, by the same model and operation, of the
    same shape and length. The pictures themselves are not compared.
    """
    rows = await database.retry(
        lambda c: sql.similar_artifacts(c, example=example, newest=MOST_SEARCHED, limit=limit), timeout=10
    )
    return [stored_artifact(row, sign) for row in rows]
