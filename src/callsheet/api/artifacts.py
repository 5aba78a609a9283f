"""Artifacts: metadata of the files that jobs produced."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from callsheet.api import examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.records import StoredArtifact
from callsheet.engine.reads.artifacts import ArtifactFilter, get_artifact, list_artifacts

router = APIRouter(prefix="/api/artifacts", tags=["artifacts"])


class ArtifactPage(Model):
    """One page of artifacts, newest first."""

    artifacts: list[StoredArtifact]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null: this is the last page")


@router.get(
    "",
    name="list_artifacts",
    summary="List artifacts",
    responses={**problem_responses(400, 422), 200: examples.artifact_page},
)
async def list_all(
    runtime: RuntimeDep,
    execution: Annotated[UUID | None, Query(description="Id of an execution")] = None,
    kind: Annotated[
        str | None, Query(pattern="^[a-z]{1,40}$", description="First part of the media type", examples=["video"])
    ] = None,
    name: Annotated[
        str | None,
        Query(max_length=300, pattern=r"^[^\x00]*$", description="The whole name", examples=["trailer.mp4"]),
    ] = None,
    created_after: Annotated[datetime | None, Query(alias="createdAfter", examples=["2026-11-22T09:00:00Z"])] = None,
    created_before: Annotated[datetime | None, Query(alias="createdBefore", examples=["2026-11-23T09:00:00Z"])] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ArtifactPage:
    """Return a page of artifacts, newest first, with signed URLs of their files."""
    matching = ArtifactFilter(
        execution_id=execution,
        kind=kind,
        name=name or None,
        created_after=comparable_time(created_after) if created_after else None,
        created_before=comparable_time(created_before) if created_before else None,
    )
    before = decode_cursor(runtime.key, cursor) if cursor else None
    found = await list_artifacts(runtime.reads, matching, runtime.sign, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda artifact: artifact.artifact_id)
    return ArtifactPage(artifacts=page, next_cursor=more)


@router.get("/{artifact_id}", summary="Read an artifact", responses={**problem_responses(404), 200: examples.artifact})
async def read_artifact(artifact_id: UUID, caller: CallerDep, runtime: RuntimeDep) -> StoredArtifact:
    """Return the metadata of an artifact, with a new signed URL of its file."""
    artifact = await get_artifact(runtime.database, artifact_id, runtime.sign)
    if caller.execution_id not in (None, artifact.execution_id):  # of another execution than the read token
        raise NotFound(f"There is no artifact {artifact_id}.")
    return artifact
