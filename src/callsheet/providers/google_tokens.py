"""Access tokens from the Google credentials of this machine; needs google-auth."""

import asyncio
from collections.abc import Mapping
from typing import Any

import google.auth
import google.auth.exceptions
import google.auth.transport
import httpx2

from callsheet.domain.errors import ProviderUnreachable
from callsheet.http_clients import describe_error, sync_client
from callsheet.providers.http.redaction import MAX_MESSAGE, redact_message
from callsheet.providers.http.transport import AuthHeaders

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT = 30


def google_tokens() -> AuthHeaders:
    """Return auth headers with a token that is renewed when it expires.

    The credentials are loaded at the first request. A request raises ProviderUnreachable when Google issues no token.
    """
    lock = asyncio.Lock()
    loaded: list[Any] = []

    async def auth() -> Mapping[str, str]:
        async with lock:
            try:
                if not loaded:
                    loaded.append(await asyncio.to_thread(_load_credentials))
                if not loaded[0].valid:
                    await asyncio.to_thread(_refresh, loaded[0])
            except google.auth.exceptions.GoogleAuthError as error:
                reason = redact_message(str(error.args[0]) if error.args else type(error).__name__)
                message = f"Google issued no token for Vertex AI: {reason[:MAX_MESSAGE]}"
                raise ProviderUnreachable(message) from None
            return {"Authorization": f"Bearer {loaded[0].token}"}

    return auth


def _load_credentials() -> Any:
    credentials, _ = google.auth.default(scopes=_SCOPES)
    return credentials


def _refresh(credentials: Any) -> None:
    with sync_client(timeout=_TIMEOUT) as client:
        credentials.refresh(_Transport(client))


class _Transport(google.auth.transport.Request):
    """Transport of google-auth over httpx2; the transports of google-auth need further packages."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> "_Response":
        """Send a request."""
        try:
            response = self._client.request(method, url, content=body, headers=headers, timeout=timeout or _TIMEOUT)
        except httpx2.HTTPError as error:
            raise google.auth.exceptions.TransportError(describe_error(error)) from error  # type: ignore[no-untyped-call]
        return _Response(response)


class _Response(google.auth.transport.Response):
    """A response in the form that google-auth expects."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self._response.headers

    @property
    def data(self) -> bytes:
        """The body."""
        return self._response.content
