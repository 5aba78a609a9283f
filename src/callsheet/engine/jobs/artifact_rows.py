"""Rows of artifacts: of runs that succeeded, and of runs that have not ended."""

from collections.abc import Sequence
from uuid import UUID

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.artifacts import Artifact
from callsheet.queue.claim import ClaimedJob


async def insert_artifacts(connection: Connection, artifacts: Sequence[tuple[Artifact, UUID, UUID]]) -> None:
    """Insert the artifacts of successful runs: each with the id of its execution and of its job record.

    Those that were stored before the end of their run are marked as finished.
    """
    if not artifacts:
        return
    await sql.insert_artifacts(
        connection,
        ids=[a.artifact_id for a, _, _ in artifacts],
        execution_ids=[execution for _, execution, _ in artifacts],
        jobs=[job for _, _, job in artifacts],
        names=[a.name for a, _, _ in artifacts],
        keys=[a.key for a, _, _ in artifacts],
        media_types=[a.media_type for a, _, _ in artifacts],
        sizes=[a.size for a, _, _ in artifacts],
        sha256s=[a.sha256 for a, _, _ in artifacts],
        probes=[_probe_json(a) for a, _, _ in artifacts],
    )


async def store_unfinished_artifact(connection: Connection, job: ClaimedJob, artifact: Artifact) -> bool:
    """Insert an artifact of a run that has not ended, inside the caller's transaction. It can be repeated.

    Returns False, and inserts nothing, if the run does not own its job any more.
    """
    await sql.lock_executions(connection, ids=[job.execution_id])
    row = await sql.insert_unfinished_artifact(
        connection,
        id=artifact.artifact_id,
        job=job.id,
        epoch=job.epoch,
        name=artifact.name,
        key=artifact.key,
        media_type=artifact.media_type,
        size=artifact.size,
        sha256=artifact.sha256,
        probe=_probe_json(artifact),
    )
    return row is not None


def _probe_json(artifact: Artifact) -> str | None:
    return artifact.probe.model_dump_json(by_alias=True) if artifact.probe else None
