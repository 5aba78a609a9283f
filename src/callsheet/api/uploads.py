"""Uploads: files for plans, sent in resumable parts or directly to the bucket."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Request, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from callsheet.api import examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.errors import ApiError
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import DigestMismatch, NotFound, TooLarge
from callsheet.domain.model import Model
from callsheet.engine.uploads import Upload, announce_upload, complete_upload, delete_upload, get_upload, list_uploads
from callsheet.files.partial_files import PartialFiles
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/uploads", tags=["uploads"])

_MAX_PAUSE = 60.0
"""Seconds without data after which a request that sends a file is cut."""
_DIRECT_LIFETIME = timedelta(hours=6)
_MAX_DIRECT = 5 * 2**30
"""S3 accepts no larger file in one request."""


class UploadRequest(Model):
    """Announcement of a file."""

    sha256: str = Field(description="SHA-256 of the contents, in hexadecimal", examples=["9f86d081…"])
    size: int = Field(description="Bytes")
    name: str = Field("", max_length=1000, description="File name; only its extension is used", examples=["clip.mp4"])


class UploadRecord(Model):
    """An upload."""

    id: UUID
    source: str = Field(description="Media source that names the file in a plan")
    sha256: str
    size: int = Field(description="Bytes of the complete file")
    offset: int = Field(description="Bytes that have arrived; the next part starts here")
    complete: bool = Field(description="Whether the file has arrived and its digest is verified")
    media_type: str | None = Field(description="From the contents; null: not complete")
    expires_at: datetime = Field(description="Time at which the file is deleted, unless a plan uses it")
    upload_url: str | None = Field(
        None, description="Presigned URL of the bucket for a direct PUT of the whole file; null: send parts instead"
    )


class UploadPage(Model):
    """One page of uploads, newest first."""

    uploads: list[UploadRecord]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null: this is the last page")


@router.post(
    "",
    status_code=201,
    name="announce_upload",
    summary="Announce a file",
    responses={
        **problem_responses(413, 422),
        200: examples.complete_upload,
        201: examples.upload,
    },
)
async def announce(
    runtime: RuntimeDep,
    request: Request,
    response: Response,
    body: Annotated[UploadRequest, Body(openapi_examples=examples.upload_requests)],
) -> UploadRecord:
    """Announce a file by its digest. If the server has the file, the response is 200 and nothing is to be sent.

    Otherwise it is 201. Send the file with `PATCH`; or `PUT` it to `uploadUrl`, then call `complete`.
    """
    partial = _partial_files(request)
    await asyncio.to_thread(partial.remove_older_than, runtime.settings.upload_max_age)
    upload = await announce_upload(
        runtime.database, runtime.storage, runtime.settings, sha256=body.sha256, size=body.size, name=body.name
    )
    record = await _record(runtime, partial, upload)
    if record.complete:
        response.status_code = 200
    elif upload.size <= _MAX_DIRECT and record.offset == 0:
        record.upload_url = runtime.storage.sign(upload.direct_key, method="PUT", lifetime=_DIRECT_LIFETIME)
    return record


@router.get(
    "",
    name="list_uploads",
    summary="List uploads",
    responses={**problem_responses(400, 422), 200: examples.upload_page},
)
async def list_page(
    runtime: RuntimeDep,
    request: Request,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> UploadPage:
    """Return a page of uploads, newest first, complete or not."""
    before = decode_cursor(runtime.key, cursor) if cursor else None
    found = await list_uploads(runtime.reads, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda upload: upload.id)
    partial = _partial_files(request)
    return UploadPage(uploads=[await _record(runtime, partial, upload) for upload in page], next_cursor=more)


@router.get("/{upload_id}", summary="Read an upload", responses={**problem_responses(404), 200: examples.upload})
async def read_upload(upload_id: UUID, runtime: RuntimeDep, request: Request) -> UploadRecord:
    """Return an upload with the offset of its next part."""
    return await _record(runtime, _partial_files(request), await get_upload(runtime.database, upload_id))


@router.delete(
    "/{upload_id}",
    status_code=204,
    name="delete_upload",
    summary="Delete an upload",
    responses={**problem_responses(404, 409), 204: {"description": "The upload and its file are deleted"}},
)
async def delete(upload_id: UUID, runtime: RuntimeDep, request: Request) -> None:
    """Delete an upload and its file, complete or not. The response is 409 while an unfinished execution uses it.

    A retry of an ended execution that uses the file fails after that.
    """
    partial = _partial_files(request)
    with partial.exclusive(upload_id):
        await delete_upload(runtime.database, runtime.storage, upload_id)
        await asyncio.to_thread(partial.remove, upload_id)


@router.patch(
    "/{upload_id}",
    name="send_upload_part",
    summary="Send a part of a file",
    responses={**problem_responses(404, 409, 413, 422), 200: examples.complete_upload},
    openapi_extra=examples.upload_part,
)
async def send_part(
    upload_id: UUID,
    runtime: RuntimeDep,
    request: Request,
    upload_offset: Annotated[int, Header(ge=0, description="`offset` of the upload", examples=[0])],
) -> UploadRecord:
    """Append the body to the file. After the last byte, the digest is verified and the file is stored.

    A part may have any size, also the whole file. What has arrived before a cut stays: read the upload for the new
    offset. The response is 409 if the part does not start there.
    """
    partial = _partial_files(request)
    upload = await get_upload(runtime.database, upload_id)
    if upload.completed_at is not None:
        return await _record(runtime, partial, upload)
    with partial.exclusive(upload_id):
        await partial.append(upload_id, _without_long_pauses(request), offset=upload_offset, size=upload.size)
        if await asyncio.to_thread(partial.offset, upload_id) == upload.size:
            upload = await _complete(runtime, partial, upload)
    return await _record(runtime, partial, upload)


@router.post(
    "/{upload_id}/complete",
    name="complete_upload",
    summary="Complete a direct upload",
    responses={**problem_responses(404, 409, 413, 422), 200: examples.complete_upload},
)
async def complete(upload_id: UUID, runtime: RuntimeDep, request: Request) -> UploadRecord:
    """Verify and store a file that was put to the `uploadUrl` of its upload."""
    partial = _partial_files(request)
    upload = await get_upload(runtime.database, upload_id)
    if upload.completed_at is not None:
        return await _record(runtime, partial, upload)
    with partial.exclusive(upload_id):
        stored = await _head(runtime, upload)
        if stored > upload.size:
            await runtime.storage.delete([upload.direct_key])
            raise TooLarge(f"The file in the bucket has {stored:,} bytes, but {upload.size:,} were announced.")
        await asyncio.to_thread(partial.path(upload_id).parent.mkdir, parents=True, exist_ok=True)
        await runtime.storage.get(upload.direct_key, partial.path(upload_id))
        upload = await _complete(runtime, partial, upload)
        await runtime.storage.delete([upload.direct_key])
    return await _record(runtime, partial, upload)


async def _head(runtime: Runtime, upload: Upload) -> int:
    try:
        return (await runtime.storage.head(upload.direct_key)).size
    except NotFound:
        raise NotFound("The bucket does not have the file; PUT it to the `uploadUrl` first.") from None


async def _complete(runtime: Runtime, partial: PartialFiles, upload: Upload) -> Upload:
    try:
        completed = await complete_upload(runtime.database, runtime.storage, upload, partial.path(upload.id))
    except DigestMismatch:
        await asyncio.to_thread(partial.remove, upload.id)
        await runtime.storage.delete([upload.direct_key])
        raise
    await asyncio.to_thread(partial.remove, upload.id)
    return completed


async def _record(runtime: Runtime, partial: PartialFiles, upload: Upload) -> UploadRecord:
    complete = upload.completed_at is not None
    return UploadRecord(
        id=upload.id,
        source=upload.source,
        sha256=upload.sha256,
        size=upload.size,
        offset=upload.size if complete else await asyncio.to_thread(partial.offset, upload.id),
        complete=complete,
        media_type=upload.media_type,
        expires_at=upload.used_at + runtime.settings.upload_max_age,
    )


def _partial_files(request: Request) -> PartialFiles:
    partial: PartialFiles = request.app.state.partial_uploads
    return partial


async def _without_long_pauses(request: Request) -> AsyncIterator[bytes]:
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(_MAX_PAUSE):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise ApiError(408, "too_slow", f"No data arrived for {_MAX_PAUSE:.0f} seconds.") from None
        except ClientDisconnect:
            raise ApiError(400, "disconnected", "The client closed the connection; the upload can continue.") from None
        if chunk is None:
            return
        yield chunk
