"""Sends local files to a server: resumed after a cut, and skipped if the server has them."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2

from callsheet.cli.errors import CommandFailed, Unreachable
from callsheet.cli.remote import ApiClient
from callsheet.files.digest import sha256_of_file
from callsheet.files.media_types import guess_media_type
from callsheet.http_clients import sync_client

_CHUNK = 2**18
_GIVE_UP_AFTER = 60.0
"""Seconds without progress after which an upload fails."""
_PAUSE = 0.5
_TIMEOUT = httpx2.Timeout(30, read=900)
"""The server responds when it has verified and stored the file."""
_CONFLICT = 5

OnProgress = Callable[[int], None]
"""Receives the number of bytes of the file that the server has."""


def upload_file(client: ApiClient, file: Path, on_progress: OnProgress) -> tuple[str, bool]:
    """Send a file. Return the media source that names it in a plan, and whether any bytes had to be sent.

    Raises Unreachable if nothing arrives for a minute, and CommandFailed if the server rejects the file.
    """
    size = file.stat().st_size
    upload = client.post("/api/uploads", {"sha256": sha256_of_file(file), "size": size, "name": file.name})
    if upload["complete"]:
        on_progress(size)
        return upload["source"], False
    if upload.get("uploadUrl") and _put(upload, file, on_progress):
        upload = client.request("POST", f"/api/uploads/{upload['id']}/complete", timeout=_TIMEOUT)
    else:
        upload = _send_parts(client, upload, file, on_progress)
    on_progress(size)
    return upload["source"], True


def _send_parts(client: ApiClient, upload: Mapping[str, Any], file: Path, on_progress: OnProgress) -> Mapping[str, Any]:
    """Send the rest of a file until the upload is complete. After a cut, continue where the server is."""
    path = f"/api/uploads/{upload['id']}"
    last_progress = time.monotonic()
    while not upload["complete"]:
        offset = upload["offset"]
        on_progress(offset)
        try:
            upload = client.request(
                "PATCH",
                path,
                content=_chunks(file, offset, on_progress),
                headers={"Upload-Offset": str(offset), **_body_headers(file, offset)},
                timeout=_TIMEOUT,
            )
        except (Unreachable, CommandFailed) as error:
            if not _is_temporary(error) or time.monotonic() - last_progress > _GIVE_UP_AFTER:
                raise
            time.sleep(_PAUSE)
            upload = _read_again(client, path, upload)
        if upload["offset"] != offset:
            last_progress = time.monotonic()
    return upload


def _is_temporary(error: Unreachable | CommandFailed) -> bool:
    """Return whether the upload can continue: after a cut, a server error, or if another request sends the file."""
    return isinstance(error, Unreachable) or error.exit_code in (_CONFLICT, 6)


def _read_again(client: ApiClient, path: str, upload: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = client.get(path)
    except Unreachable:
        return upload
    return answer


def _put(upload: Mapping[str, Any], file: Path, on_progress: OnProgress) -> bool:
    """Put the file directly into the bucket. Return False if the bucket cannot be used from here."""
    headers = {"Content-Type": guess_media_type(file.name), **_body_headers(file, 0)}
    try:
        # A client of its own: the API key is not for the bucket.
        with sync_client(timeout=_TIMEOUT) as without_key:
            response = without_key.put(upload["uploadUrl"], content=_chunks(file, 0, on_progress), headers=headers)
    except httpx2.TransportError:
        return False
    return response.is_success


def _body_headers(file: Path, offset: int) -> dict[str, str]:
    return {"Content-Length": str(file.stat().st_size - offset)}


def _chunks(file: Path, offset: int, on_progress: OnProgress) -> Iterator[bytes]:
    with file.open("rb") as opened:
        opened.seek(offset)
        while chunk := opened.read(_CHUNK):
            yield chunk
            offset += len(chunk)
            on_progress(offset)
