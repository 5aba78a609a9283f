"""The body of a callback: `COMPLETED` with the files, or `FAILED` with the error. Files are streamed."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson

from callsheet.domain.records import StoredArtifact
from callsheet.intake.contract import IntakeContext, Outcome, Rejection

_CHUNK = 3 * 64 * 1024
"""Bytes that are encoded at a time: a multiple of 3, so that the pieces can be joined."""


async def completed_body(context: IntakeContext, task: str, outcome: Outcome) -> AsyncIterator[bytes]:
    """Yield the body for a succeeded execution: files as URLs from a bucket, or else as base64."""
    head = {"id": task, "job_id": task, "status": "COMPLETED", "executionId": str(outcome.execution.execution_id)}
    yield orjson.dumps(head)[:-1] + b',"files":['
    for number, artifact in enumerate(outcome.artifacts):
        yield b"," if number else b""
        async for piece in _file(context, artifact):
            yield piece
    yield b"]}"


async def failed_body(task: str | None, error: str, details: dict[str, Any]) -> AsyncIterator[bytes]:
    """Yield the body for a failed execution or an invalid task."""
    body: dict[str, Any] = {
        "id": task,
        "job_id": task,
        "status": "FAILED",
        "files": [],
        "error": error,
        "error_details": details,
    }
    yield orjson.dumps(body)


def rejection_details(rejection: Rejection) -> dict[str, Any]:
    """Return the details of an invalid task: all its problems."""
    problems = [{"path": each.path, "code": each.code, "message": each.message} for each in rejection.problems]
    return {"code": "invalid_task" if rejection.permanent else "internal_error", "problems": problems}


def failure_details(outcome: Outcome) -> dict[str, Any]:
    """Return the details of a failed execution: the error of each failed job."""
    jobs = [
        {"job": job.job_id, "operation": job.operation, **job.error.model_dump(mode="json", exclude={"traceback"})}
        for job in outcome.failed_jobs
        if job.error is not None
    ]
    code = "cancelled" if outcome.cancelled else jobs[0]["code"] if jobs else "failed"
    return {"code": code, "executionId": str(outcome.execution.execution_id), "jobs": jobs}


async def _file(context: IntakeContext, artifact: StoredArtifact) -> AsyncIterator[bytes]:
    facts = {
        "filename": artifact.name,
        "media_type": artifact.media_type,
        "size": artifact.size,
        "sha256": artifact.sha256,
    }
    if context.settings.s3_bucket is not None and artifact.url is not None:
        yield orjson.dumps({**facts, "type": "s3_url", "data": artifact.url, "url": artifact.url})
        return
    yield orjson.dumps({**facts, "type": "base64"})[:-1] + b',"data":"'
    rest = b""
    async for chunk in context.read_file(artifact.key):
        rest += chunk
        whole = len(rest) - len(rest) % 3
        for start in range(0, whole, _CHUNK):
            yield base64.b64encode(rest[start : min(start + _CHUNK, whole)])
        rest = rest[whole:]
    yield base64.b64encode(rest) + b'"}'
