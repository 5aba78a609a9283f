"""Access tokens of this machine's own Google credentials; needs google-auth."""

import asyncio
from collections.abc import Mapping
from typing import Any

import google.auth
import google.auth.exceptions
import google.auth.transport
import httpx2

from callsheet.domain.errors import ProviderUnreachable
from callsheet.providers.http.client import AuthHeaders, redact_message

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_PATIENCE = 30


def google_tokens() -> AuthHeaders:
    """Return keys with a token that is renewed when it expires; the credentials are looked for at the first request."""
    lock = asyncio.Lock()
    held: list[Any] = []

    async def keys() -> Mapping[str, str]:
        async with lock:
            try:
                if not held:
                    held.append(await asyncio.to_thread(_credentials))
                if not held[0].valid:
                    await asyncio.to_thread(_refresh, held[0])
            except google.auth.exceptions.GoogleAuthError as error:
                words = redact_message(str(error.args[0]) if error.args else type(error).__name__)
                raise ProviderUnreachable(f"Google gives no token for Vertex AI: {words[:300]}") from None
            return {"Authorization": f"Bearer {held[0].token}"}

    return keys


def _credentials() -> Any:
    found, _ = google.auth.default(scopes=_SCOPES)
    return found


def _refresh(credentials: Any) -> None:
    with httpx2.Client(timeout=_PATIENCE, follow_redirects=False) as client:
        credentials.refresh(_Transport(client))


class _Transport(google.auth.transport.Request):
    """google-auth's way to the network; its own ones need further packages."""

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
    ) -> "_Answer":
        """Send a request."""
        try:
            answer = self._client.request(method, url, content=body, headers=headers, timeout=timeout or _PATIENCE)
        except httpx2.HTTPError as error:
            raise google.auth.exceptions.TransportError(type(error).__name__) from error  # type: ignore[no-untyped-call]
        return _Answer(answer)


class _Answer(google.auth.transport.Response):
    """An answer as google-auth reads it."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self._answer.headers

    @property
    def data(self) -> bytes:
        """The body."""
        return self._answer.content
