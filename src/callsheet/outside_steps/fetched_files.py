"""Download of the files that an endpoint made.

Files on the server of the endpoint itself may be on a private network: the operator named it. All others are fetched
as the sources of plans are, from public addresses only.
"""

import asyncio
import socket
from pathlib import Path

import httpx2

from callsheet.domain.errors import BadSource, JobError
from callsheet.files.fetch import FetchedFile, fetch
from callsheet.files.ssrf_guard import Resolve, guarded_client, is_public
from callsheet.outside_steps.declarations import EndpointStep
from callsheet.outside_steps.endpoint import same_origin
from callsheet.outside_steps.messages import SentFile
from callsheet.settings import Settings


async def fetch_file(step: EndpointStep, file: SentFile, target: Path, settings: Settings) -> FetchedFile:
    """Download a file of a result to `target`. Raises JobError for a file without a URL, and the errors of `fetch`."""
    if file.url is None:
        raise JobError("An endpoint names its files by `url`")
    try:
        url = str(httpx2.URL(step.url).join(file.url))
    except (httpx2.InvalidURL, ValueError):
        raise BadSource("The URL of a file is malformed") from None
    if not same_origin(url, step.url):
        return await fetch(url, target, settings)
    own = settings.model_copy(update={"allow_http": True, "allow_private_addresses": True})
    async with guarded_client(own, resolve=_only(httpx2.URL(step.url))) as client:
        return await fetch(url, target, own, client=client)


def _only(server: httpx2.URL) -> Resolve:
    """Return a resolver that finds private addresses for this server only: a redirect may lead elsewhere."""
    own_port = server.port or {"http": 80, "https": 443}[server.scheme]

    async def resolve(host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if (host, port) != (server.host, own_port) and not all(is_public(address) for address in addresses):
            raise BadSource(f"'{host}' resolves to a private or local address, which is not allowed")
        return addresses

    return resolve
