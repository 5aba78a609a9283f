"""Downloads the files of an execution: resumed after a cut, verified, and written atomically."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from callsheet.cli.errors import CommandFailed, Unreachable
from callsheet.cli.remote import ApiClient
from callsheet.files.digest import sha256_of_file
from callsheet.http_clients import describe_error, sync_client

_GIVE_UP_AFTER = 60.0
"""Seconds without progress after which a download fails."""
_PAUSE = 0.5
_RANGE_NOT_SATISFIABLE = 416

OnProgress = Callable[[int], None]
"""Receives the number of bytes of the file that have arrived."""


def download_file(client: ApiClient, artifact: Mapping[str, Any], target: Path, on_progress: OnProgress) -> bool:
    """Download the file of an artifact. Return False if `target` has its contents already.

    An earlier download of the same contents is continued. Raises Unreachable if nothing arrives for a minute, and
    CommandFailed for contents with another digest.
    """
    if _is_same(target, artifact):
        on_progress(artifact["size"])
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    # The digest in the name: a part of other contents is never continued.
    part = target.with_name(f".{target.name}.{artifact['sha256'][:16]}.part")
    continued = part.exists()
    _fetch_rest(client, artifact, part, on_progress)
    if continued and sha256_of_file(part) != artifact["sha256"]:
        part.unlink()
        _fetch_rest(client, artifact, part, on_progress)
    if (found := sha256_of_file(part)) != artifact["sha256"]:
        part.unlink()
        raise CommandFailed(
            f"The file '{artifact['name']}' arrived with the SHA-256 {found} instead of {artifact['sha256']}; it was "
            "deleted. Download it again.",
            exit_code=1,
            problems=[],
        )
    part.replace(target)
    return True


def _is_same(target: Path, artifact: Mapping[str, Any]) -> bool:
    return (
        target.is_file() and target.stat().st_size == artifact["size"] and sha256_of_file(target) == artifact["sha256"]
    )


def _fetch_rest(client: ApiClient, artifact: Mapping[str, Any], part: Path, on_progress: OnProgress) -> None:
    part.touch()
    last_progress = time.monotonic()
    while (have := part.stat().st_size) < artifact["size"]:
        on_progress(have)
        try:
            # A new URL for each request: the former one may have expired.
            url = _url_for(client, client.get(f"/api/artifacts/{artifact['artifactId']}")["url"])
            _append(url, part, on_progress)
        except (Unreachable, httpx2.TransportError) as error:
            if part.stat().st_size > have:
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > _GIVE_UP_AFTER:
                raise Unreachable(
                    f"The download of '{artifact['name']}' stopped ({describe_error(error)}). Run the command again to "
                    "continue it."
                ) from None
            time.sleep(_PAUSE)


def _url_for(client: ApiClient, url: str) -> str:
    """Return the URL of a file. Files of the server come from the address that the other requests use."""
    parts = urlsplit(url)
    return f"{client.url}{parts.path}?{parts.query}" if parts.path.startswith("/files/") else url


def _append(url: str, part: Path, on_progress: OnProgress) -> None:
    have = part.stat().st_size
    headers = {"Range": f"bytes={have}-"} if have else {}
    with (
        sync_client(timeout=30, follow_redirects=True) as without_key,
        without_key.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code == _RANGE_NOT_SATISFIABLE:
            part.unlink()
            part.touch()
            return
        if response.is_error:
            raise CommandFailed(f"The file responded with status {response.status_code}.", exit_code=6, problems=[])
        # 200: the server ignores ranges and sends the whole file.
        continues = response.status_code == httpx2.codes.PARTIAL_CONTENT
        have = have if continues else 0
        with part.open("ab" if continues else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                have += len(chunk)
                on_progress(have)
