"""Files of artifacts, at signed URLs."""

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
from callsheet.engine.uploads import find_upload
from callsheet.files.disposition import content_disposition
from callsheet.files.media_types import OCTET_STREAM, is_safe_inline
from callsheet.files.object_keys import UPLOADS
from callsheet.files.ranges import ByteRange, parse_range
from callsheet.files.signed_urls import verify_path
from callsheet.wiring import Runtime

router = APIRouter(tags=["files"])

_SANDBOX = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
"""Content-Security-Policy of files: a browser runs no script in them."""


@router.get(
    "/files/{artifact_id}",
    summary="Get a file",
    response_class=Response,
    responses=examples.file_responses(problem_responses(401, 404, 416)),
)
@router.head("/files/{artifact_id}", include_in_schema=False)
async def get_file(
    request: Request,
    artifact_id: UUID,
    runtime: RuntimeDep,
    expires: Annotated[str, Query(description="From the signed URL", max_length=20, pattern=r"^\d+$")],
    sig: Annotated[str, Query(description="From the signed URL", max_length=100)],
    download: Annotated[bool, Query(description="Send the file as an attachment, so that browsers save it")] = False,
    range_header: Annotated[str | None, Header(alias="Range", examples=["bytes=0-1023"])] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the file of an artifact, or one byte range of it. The URL is the `url` of an artifact."""
    verify_path(runtime.key, f"/files/{artifact_id}", expires=expires, sig=sig)
    artifact = await find_artifact(runtime.database, artifact_id)
    max_age = max(int(int(expires) - datetime.now(UTC).timestamp()), 0)
    headers = _headers(artifact, download=download) | {"Cache-Control": f"private, max-age={max_age}, immutable"}
    return await _respond(
        runtime, artifact, headers, FileRequest(request.method, range_header, if_none_match, if_range)
    )


@router.get(
    "/files/uploads/{name}",
    summary="Get an uploaded file",
    response_class=Response,
    responses=examples.file_responses(problem_responses(401, 404, 416)),
)
@router.head("/files/uploads/{name}", include_in_schema=False)
async def get_uploaded_file(
    request: Request,
    name: str,
    runtime: RuntimeDep,
    expires: Annotated[str, Query(description="From the signed URL", max_length=20, pattern=r"^\d+$")],
    sig: Annotated[str, Query(description="From the signed URL", max_length=100)],
    range_header: Annotated[str | None, Header(alias="Range", examples=["bytes=0-1023"])] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Return an uploaded file, or one byte range of it. Providers get the signed URL as an input of a task."""
    verify_path(runtime.key, f"/files/uploads/{name}", expires=expires, sig=sig)
    upload = await find_upload(runtime.database, f"{UPLOADS}/{name}")
    artifact = Artifact(
        artifact_id=upload.id,
        name=name,
        key=upload.key,
        media_type=upload.media_type or OCTET_STREAM,
        size=upload.size,
        sha256=upload.sha256,
    )
    return await file_response(runtime, artifact, FileRequest(request.method, range_header, if_none_match, if_range))


@dataclass(frozen=True, slots=True)
class FileRequest:
    """Method and headers of a request for a file."""

    method: str
    range: str | None = None
    """Value of the header `Range`."""
    if_none_match: str | None = None
    if_range: str | None = None


async def file_response(runtime: Runtime, artifact: Artifact, request: FileRequest) -> Response:
    """Return the response with a file or a byte range of it. The caller has checked the access."""
    return await _respond(runtime, artifact, _headers(artifact) | {"Cache-Control": "private, no-cache"}, request)


async def _respond(runtime: Runtime, artifact: Artifact, headers: dict[str, str], request: FileRequest) -> Response:
    if _etag_matches(headers["ETag"], request.if_none_match):
        return Response(status_code=304, headers=headers)
    part = parse_range(request.range, artifact.size) if request.if_range in (None, headers["ETag"]) else None
    status, length = (206, len(part)) if part else (200, artifact.size)
    if part:
        headers["Content-Range"] = part.content_range(artifact.size)
    headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        await runtime.storage.head(artifact.key)
        return Response(status_code=status, headers=headers)
    body = await _open_stream(runtime.storage.stream(artifact.key, *_span(part)))
    return StreamingResponse(body, status_code=status, headers=headers)


def _headers(artifact: Artifact, *, download: bool = False) -> dict[str, str]:
    inline = is_safe_inline(artifact.media_type) and not download
    return {
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(artifact.name, inline=inline),
        "Content-Security-Policy": _SANDBOX,
        "Content-Type": artifact.media_type + ("; charset=utf-8" if artifact.media_type.startswith("text/") else ""),
        "ETag": f'"{artifact.sha256}"',
        "X-Content-Type-Options": "nosniff",
    }


def _etag_matches(etag: str, if_none_match: str | None) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in known or known == ["*"]


def _span(part: ByteRange | None) -> tuple[int, int | None]:
    return (part.start, part.end) if part else (0, None)


async def _open_stream(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Read the first chunk before the response starts, so that a missing file becomes a 404."""
    first = await anext(chunks, b"")

    async def all_chunks() -> AsyncGenerator[bytes, None]:
        try:
            yield first
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    return all_chunks()
