"""The public URL, by which providers reach this server: asked through its public address, as a provider asks."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from uuid import uuid4

import httpx2
import orjson

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.domain.errors import ConfigurationError
from callsheet.files.signed_urls import signed_file_url, signing_key
from callsheet.http_clients import async_client, describe_error, is_this_machine
from callsheet.settings import Settings

_SECONDS = 10.0
_PROXY = "let the reverse proxy pass all paths to this server, and correct CALLSHEET_PUBLIC_URL"


async def public_url(installation: Installation) -> AsyncIterator[Finding]:
    """Report a public URL that does not lead to this server, or that providers cannot use."""
    settings = installation.settings
    if settings.public_url is None:
        yield ok("public_url", "not set: providers are polled, and call no webhooks")
        return
    if (reason := _why_not_public(settings.public_url)) is not None:
        message = f"{settings.public_url} {reason}: their webhooks do not arrive, and they are polled instead"
        action = "set CALLSHEET_PUBLIC_URL to an https:// URL that is reachable from the internet, or unset it"
        yield Finding("public_url.not_public", message, action)
    async with async_client(timeout=_SECONDS) as client:
        yield await _reach(client, settings)


def _why_not_public(text: str) -> str | None:
    url = httpx2.URL(text)
    if is_this_machine(url.host) or _is_private(url.host):
        return "is an address of this machine or of a private network, which providers do not reach"
    return None if url.scheme == "https" else "is not https://, which most providers require"


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:  # a name
        return "." not in host


async def _reach(client: httpx2.AsyncClient, settings: Settings) -> Finding:
    base = str(settings.public_url).rstrip("/")
    try:
        response = await client.get(f"{base}/healthz")
    except httpx2.HTTPError as error:
        return await _unreachable(client, settings, f"it does not respond ({describe_error(error)})")
    if response.status_code != 200 or _json_of(response).get("status") != "ok":
        return await _unreachable(client, settings, f"{base}/healthz responds with {response.status_code}")
    webhook = await client.post(f"{base}/api/webhooks/jobs/{uuid4()}", params={"token": "check"}, json={})
    if not _is_our_response(webhook):
        message = f"a webhook without an API key gets {webhook.status_code} at {base}/api/webhooks/jobs/…"
        action = "let the reverse proxy pass /api/webhooks/ without a login of its own: the URLs have secret tokens"
        return Finding("public_url.webhooks_blocked", message, action)
    if not await _has_our_key(client, settings, base):
        message = f"{base} leads to a server with another signing key"
        action = "correct CALLSHEET_PUBLIC_URL, or give all servers and workers the same CALLSHEET_SIGNING_KEY"
        return Finding("public_url.other_server", message, action)
    return ok("public_url", f"{base} leads to this installation, seen from this machine")


async def _unreachable(client: httpx2.AsyncClient, settings: Settings, reason: str) -> Finding:
    """Return the finding for a public URL without our response: is there a server here that it should lead to?"""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared only
    host = f"[{host}]" if ":" in host else host
    try:
        here = await client.get(f"http://{host}:{settings.port}/healthz")
    except httpx2.HTTPError:
        message = f"{settings.public_url}: {reason}, and no server runs at {host}:{settings.port}"
        return Finding("public_url.no_server", message, "start the server, and run the check again")
    message = f"{settings.public_url}: {reason}, while the server at {host}:{settings.port} is {here.status_code}"
    return Finding("public_url.unreachable", message, _PROXY)


async def _has_our_key(client: httpx2.AsyncClient, settings: Settings, base: str) -> bool:
    """Return whether the server accepts our signature, for a file that does not exist."""
    if settings.signing_key is None and not (settings.data_dir / "signing.key").is_file():
        return True  # this machine has no key to compare with
    try:
        key = signing_key(settings)
    except ConfigurationError:
        return True
    url = signed_file_url(key, base, uuid4(), expires=datetime.now(UTC) + timedelta(minutes=5))
    response = await client.get(url)
    return response.status_code != 401


def _is_our_response(response: httpx2.Response) -> bool:
    """Return whether a response to a webhook is ours: received, or a problem document."""
    fields = _json_of(response)
    return fields.get("received") is True or ("code" in fields and "status" in fields)


def _json_of(response: httpx2.Response) -> dict[str, object]:
    try:
        found = orjson.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
