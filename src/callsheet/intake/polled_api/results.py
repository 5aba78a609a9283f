"""The body of a callback: `COMPLETED` with the files, or `FAILED` with the error. Files are streamed."""

import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from callsheet.domain.records import StoredArtifact
from callsheet.intake.contract import IntakeContext, Outcome, Rejection

_CHUNK = 3 * 64 * 1024
"""Bytes that are encoded at a time: a multiple of 3, so that the pieces can be joined."""


class CallbackBody:
    """JSON text of a known length, whose files are read and encoded as base64 while it is sent.

    `length` is the number of bytes, for `Content-Length`: many servers do not accept chunked requests.
    """

    def __init__(self, context: IntakeContext, parts: Sequence[bytes | StoredArtifact]) -> None:
        self._context = context
        self._parts = parts
        self.length = sum(len(part) if isinstance(part, bytes) else _encoded_size(part.size) for part in parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
                continue
            async for piece in _base64(self._context, part):
                yield piece


def completed_body(context: IntakeContext, task: str, outcome: Outcome) -> CallbackBody:
    """Return the body for a succeeded execution: files as URLs from a bucket, or else as base64."""
    head = {"id": task, "job_id": task, "status": "COMPLETED", "executionId": str(outcome.execution.execution_id)}
    parts: list[bytes | StoredArtifact] = [orjson.dumps(head)[:-1] + b',"files":[']
    for number, artifact in enumerate(outcome.artifacts):
        parts += [b"," if number else b"", *_file(context, artifact)]
    return CallbackBody(context, [*parts, b"]}"])


def failed_body(context: IntakeContext, task: str | None, error: str, details: dict[str, Any]) -> CallbackBody:
    """Return the body for a failed execution or an invalid task."""
    body: dict[str, Any] = {
        "id": task,
        "job_id": task,
        "status": "FAILED",
        "files": [],
        "error": error,
        "error_details": details,
    }
    return CallbackBody(context, [orjson.dumps(body)])


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


def _file(context: IntakeContext, artifact: StoredArtifact) -> list[bytes | StoredArtifact]:
    """Return the parts of a file's object: one with its URL, or its facts around its content."""
    facts = {
        "filename": artifact.name,
        "media_type": artifact.media_type,
        "size": artifact.size,
        "sha256": artifact.sha256,
    }
    if context.settings.s3_bucket is not None and artifact.url is not None:
        return [orjson.dumps({**facts, "type": "s3_url", "data": artifact.url, "url": artifact.url})]
    return [orjson.dumps({**facts, "type": "base64"})[:-1] + b',"data":"', artifact, b'"}']


def _encoded_size(size: int) -> int:
    """Return the length of base64 with padding, of `size` bytes."""
    return -(-size // 3) * 4


async def _base64(context: IntakeContext, artifact: StoredArtifact) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in context.read_file(artifact.key):
        rest += chunk
        whole = len(rest) - len(rest) % 3
        for start in range(0, whole, _CHUNK):
            yield base64.b64encode(rest[start : min(start + _CHUNK, whole)])
        rest = rest[whole:]
    yield base64.b64encode(rest)
