"""Downloads files of executions: resumed after a cut, verified, and written atomically."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import urlsplit

import httpx2

from callsheet.client.errors import DamagedDownload, RequestFailed, Unreachable, is_temporary
from callsheet.client.http import HttpApi
from callsheet.domain.errors import CallsheetError
from callsheet.domain.records import StoredArtifact
from callsheet.files.digest import sha256_of_file
from callsheet.http_clients import async_client, describe_error

_GIVE_UP_AFTER = 60.0
"""Seconds without progress after which a download fails."""
_PAUSE = 0.5
_RANGE_NOT_SATISFIABLE = 416

OnProgress = Callable[[int], None]
"""Receives the number of bytes of the file that have arrived."""


async def download_file(api: HttpApi, artifact: StoredArtifact, target: Path, on_progress: OnProgress) -> bool:
    """Download the file of an artifact. Return False if `target` has its contents already.

    An earlier download of the same contents is continued. Raises Unreachable if nothing arrives for a minute, and
    DamagedDownload for contents with another digest.
    """
    if await asyncio.to_thread(_is_same, target, artifact):
        on_progress(artifact.size)
        return False
    part = _PartialFile(target, artifact.sha256)
    continued = part.size > 0
    await _fetch_rest(api, artifact, part, on_progress)
    if continued and await part.digest() != artifact.sha256:
        part.clear()
        await _fetch_rest(api, artifact, part, on_progress)
    if (found := await part.digest()) != artifact.sha256:
        part.delete()
        raise DamagedDownload(
            f"The file '{artifact.name}' arrived with the SHA-256 {found} instead of {artifact.sha256}; it was "
            "deleted. Download it again."
        )
    part.complete()
    return True


class _PartialFile:
    """What has arrived of a file, beside its target. The digest in its name: other contents are never continued."""

    def __init__(self, target: Path, sha256: str) -> None:
        self._target = target
        self.path = target.with_name(f".{target.name}.{sha256[:16]}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    async def digest(self) -> str:
        return await asyncio.to_thread(sha256_of_file, self.path)

    def open(self, mode: Literal["ab", "wb"]) -> BinaryIO:
        return self.path.open(mode)

    def clear(self) -> None:
        self.path.write_bytes(b"")

    def delete(self) -> None:
        self.path.unlink()

    def complete(self) -> None:
        self.path.replace(self._target)


def _is_same(target: Path, artifact: StoredArtifact) -> bool:
    return target.is_file() and target.stat().st_size == artifact.size and sha256_of_file(target) == artifact.sha256


async def _fetch_rest(api: HttpApi, artifact: StoredArtifact, part: _PartialFile, on_progress: OnProgress) -> None:
    last_progress = time.monotonic()
    while (have := part.size) < artifact.size:
        on_progress(have)
        try:
            # A new URL for each request: the former one may have expired.
            record = await api.request("GET", f"/api/artifacts/{artifact.artifact_id}")
            await _append(_url_for(api, record["url"]), part, artifact.size, on_progress)
        except (CallsheetError, httpx2.TransportError) as error:
            if isinstance(error, CallsheetError) and not is_temporary(error):
                raise
            if part.size > have:
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > _GIVE_UP_AFTER:
                reason = describe_error(error.__cause__ or error)
                raise Unreachable(
                    f"The download of '{artifact.name}' stopped ({reason}). Start it again to continue."
                ) from None
            await asyncio.sleep(_PAUSE)


def _url_for(api: HttpApi, url: str) -> str:
    """Return the URL of a file. Files of the server come from the address that the other requests use."""
    parts = urlsplit(url)
    return f"{api.url}{parts.path}?{parts.query}" if parts.path.startswith("/files/") else url


async def _append(url: str, part: _PartialFile, size: int, on_progress: OnProgress) -> None:
    """Append the rest of a file. More than `size` bytes are not read on; the digest then shows the damage."""
    have = part.size
    headers = {"Range": f"bytes={have}-"} if have else {}
    # A client of its own: the API key is not for a bucket.
    async with (
        async_client(timeout=30, follow_redirects=True) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code == _RANGE_NOT_SATISFIABLE:
            part.clear()
            return
        if response.is_error:
            status = response.status_code
            raise RequestFailed(f"The file responded with status {status}.", code="http_error", http_status=status)
        # 200: the server ignores ranges and sends the whole file.
        continues = response.status_code == httpx2.codes.PARTIAL_CONTENT
        have = have if continues else 0
        with part.open("ab" if continues else "wb") as file:
            async for chunk in response.aiter_raw():
                await asyncio.to_thread(file.write, chunk)
                have += len(chunk)
                if have > size:
                    return
                on_progress(have)
