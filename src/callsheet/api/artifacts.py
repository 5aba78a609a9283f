"""Artifacts: metadata of the files that jobs produced."""

from uuid import UUID

from fastapi import APIRouter

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.records import StoredArtifact
from callsheet.engine.reads.views import get_artifact

router = APIRouter(prefix="/api/artifacts", tags=["artifacts"])


@router.get("/{artifact_id}", summary="Read an artifact", responses={**problem_responses(404), 200: examples.artifact})
async def read_artifact(artifact_id: UUID, runtime: RuntimeDep) -> StoredArtifact:
    """Return the metadata of an artifact, with a new signed URL of its file."""
    return await get_artifact(runtime.database, artifact_id, runtime.sign)
