"""Sends local files to a server: resumed after a cut, and skipped if the server has them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from callsheet.client.errors import Unreachable, is_temporary
from callsheet.client.http import HttpApi
from callsheet.domain.errors import CallsheetError, Conflict
from callsheet.files.digest import sha256_of_file
from callsheet.files.media_types import guess_media_type
from callsheet.http_clients import async_client

_CHUNK = 2**18
_GIVE_UP_AFTER = 60.0
"""Seconds without progress after which an upload fails."""
_PAUSE = 0.5
_TIMEOUT = httpx2.Timeout(30, read=900)
"""The server responds when it has verified and stored the file."""

OnProgress = Callable[[int], None]
"""Receives the number of bytes of the file that the server has."""


class UploadedFile(NamedTuple):
    """A file that the server has."""

    source: str
    """Media source that names the file in a plan."""
    sent: bool
    """Whether any bytes had to be sent."""


async def upload_file(api: HttpApi, file: Path, on_progress: OnProgress) -> UploadedFile:
    """Send a file.

    Raises OSError for a file that cannot be read, Unreachable if nothing arrives for a minute, and the server's error
    if it rejects the file.
    """
    size = _size(file)
    announcement = {"sha256": await asyncio.to_thread(sha256_of_file, file), "size": size, "name": file.name}
    upload = await api.request("POST", "/api/uploads", json=announcement)
    if upload["complete"]:
        on_progress(size)
        return UploadedFile(upload["source"], sent=False)
    if upload.get("uploadUrl") and await _put(upload, file, on_progress):
        upload = await api.request("POST", f"/api/uploads/{upload['id']}/complete", timeout=_TIMEOUT)
    else:
        upload = await _send_parts(api, upload, file, on_progress)
    on_progress(size)
    return UploadedFile(upload["source"], sent=True)


async def _send_parts(
    api: HttpApi, upload: Mapping[str, Any], file: Path, on_progress: OnProgress
) -> Mapping[str, Any]:
    """Send the rest of a file until the upload is complete. After a cut, continue where the server is."""
    path = f"/api/uploads/{upload['id']}"
    last_progress = time.monotonic()
    while not upload["complete"]:
        offset = upload["offset"]
        on_progress(offset)
        try:
            upload = await api.request(
                "PATCH",
                path,
                content=_chunks(file, offset, on_progress),
                headers={"Upload-Offset": str(offset), **_body_headers(file, offset)},
                timeout=_TIMEOUT,
            )
        except CallsheetError as error:
            # A conflict: another request sends the same file.
            can_continue = is_temporary(error) or isinstance(error, Conflict)
            if not can_continue or time.monotonic() - last_progress > _GIVE_UP_AFTER:
                raise
            await asyncio.sleep(_PAUSE)
            upload = await _read_again(api, path, upload)
        if upload["offset"] != offset:
            last_progress = time.monotonic()
    return upload


async def _read_again(api: HttpApi, path: str, upload: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = await api.request("GET", path)
    except Unreachable:
        return upload
    return answer


async def _put(upload: Mapping[str, Any], file: Path, on_progress: OnProgress) -> bool:
    """Put the file directly into the bucket. Return False if the bucket cannot be used from here."""
    headers = {"Content-Type": guess_media_type(file.name), **_body_headers(file, 0)}
    try:
        # A client of its own: the API key is not for the bucket.
        async with async_client(timeout=_TIMEOUT) as client:
            content = _chunks(file, 0, on_progress)
            response = await client.put(upload["uploadUrl"], content=content, headers=headers)
    except httpx2.TransportError:
        return False
    return response.is_success


def _size(file: Path) -> int:
    return file.stat().st_size


def _body_headers(file: Path, offset: int) -> dict[str, str]:
    return {"Content-Length": str(_size(file) - offset)}


async def _chunks(file: Path, offset: int, on_progress: OnProgress) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as opened:
        opened.seek(offset)
        while chunk := await asyncio.to_thread(opened.read, _CHUNK):
            yield chunk
            offset += len(chunk)
            on_progress(offset)
