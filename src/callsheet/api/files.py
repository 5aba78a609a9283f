"""Files of artifacts, behind signed links."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.artifacts import Artifact
from callsheet.engine.reads.artifacts import find_artifact
from callsheet.files.disposition import content_disposition
from callsheet.files.media_types import is_safe_inline
from callsheet.files.ranges import ByteRange, parse_range
from callsheet.files.signed_urls import verify_path
from callsheet.wiring import Runtime

router = APIRouter(tags=["files"])

_SANDBOX = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
"""Whatever a file holds, a browser that shows it runs nothing of it."""


@router.get(
    "/files/{artifact_id}",
    summary="Get a file",
    response_class=Response,
    responses=examples.file_answers(problem_responses(401, 404, 416)),
)
@router.head("/files/{artifact_id}", include_in_schema=False)
async def get_file(
    request: Request,
    artifact_id: UUID,
    runtime: RuntimeDep,
    expires: Annotated[str, Query(description="From the signed URL", max_length=20, pattern=r"^\d+$")],
    sig: Annotated[str, Query(description="From the signed URL", max_length=100)],
    download: Annotated[bool, Query(description="Have browsers save the file instead of showing it")] = False,
    wanted: Annotated[str | None, Header(alias="Range", examples=["bytes=0-1023"])] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """The file of an artifact, whole or one range of its bytes. The link comes from `url` of an artifact."""
    verify_path(runtime.key, f"/files/{artifact_id}", expires=expires, sig=sig)
    artifact = await find_artifact(runtime.database, artifact_id)
    left = int(int(expires) - datetime.now(UTC).timestamp())
    headers = _headers(artifact, download=download) | {"Cache-Control": f"private, max-age={max(left, 0)}, immutable"}
    return await _answer(runtime, artifact, headers, FileRequest(request.method, wanted, if_none_match, if_range))


@dataclass(frozen=True, slots=True)
class FileRequest:
    """What a request says about the file that it wants: headers as they came."""

    method: str
    wanted: str | None = None
    """The header `Range`."""
    if_none_match: str | None = None
    if_range: str | None = None


async def answer_with(runtime: Runtime, artifact: Artifact, asked: FileRequest) -> Response:
    """Return a file, whole or in part, to whoever may have it."""
    return await _answer(runtime, artifact, _headers(artifact) | {"Cache-Control": "private, no-cache"}, asked)


async def _answer(runtime: Runtime, artifact: Artifact, headers: dict[str, str], asked: FileRequest) -> Response:
    if _is_known(headers["ETag"], asked.if_none_match):
        return Response(status_code=304, headers=headers)
    part = parse_range(asked.wanted, artifact.size) if asked.if_range in (None, headers["ETag"]) else None
    status, length = (206, len(part)) if part else (200, artifact.size)
    if part:
        headers["Content-Range"] = part.content_range(artifact.size)
    headers["Content-Length"] = str(length)
    if asked.method == "HEAD":
        await runtime.storage.head(artifact.key)
        return Response(status_code=status, headers=headers)
    body = await _opened(runtime.storage.stream(artifact.key, *_span(part)))
    return StreamingResponse(body, status_code=status, headers=headers)


def _headers(artifact: Artifact, *, download: bool = False) -> dict[str, str]:
    shown = is_safe_inline(artifact.media_type) and not download
    return {
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(artifact.name, inline=shown),
        "Content-Security-Policy": _SANDBOX,
        "Content-Type": artifact.media_type + ("; charset=utf-8" if artifact.media_type.startswith("text/") else ""),
        "ETag": f'"{artifact.sha256}"',
        "X-Content-Type-Options": "nosniff",
    }


def _is_known(etag: str, if_none_match: str | None) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in known or known == ["*"]


def _span(part: ByteRange | None) -> tuple[int, int | None]:
    return (part.start, part.end) if part else (0, None)


async def _opened(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Read the first piece, so that a file that is not there is a 404 and not half an answer."""
    first = await anext(chunks, b"")

    async def all_of_it() -> AsyncGenerator[bytes, None]:
        try:
            yield first
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    return all_of_it()
