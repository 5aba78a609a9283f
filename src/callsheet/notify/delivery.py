"""One attempt to deliver a webhook."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from callsheet.domain.errors import BadSource
from callsheet.domain.json_storage import shown_text
from callsheet.files.fetch import parse_retry_after

_GONE = 410


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """Result of an attempt: delivered, to be retried, or final."""

    message: str
    """HTTP status or error."""
    delivered: bool = False
    final: bool = False
    """No further attempt makes sense."""
    status: int | None = None
    """HTTP status; None if there was no response."""
    retry_after: float | None = None
    """Seconds that the receiver asked to wait."""
    duration: float = 0.0
    """Seconds."""

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more webhooks."""
        return self.status == _GONE


async def deliver(
    client: httpx2.AsyncClient,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: float,
    method: str = "POST",
) -> DeliveryResult:
    """Send a webhook, or a status to the API of the product.

    Any 2xx within `timeout` seconds counts as delivered. Redirects are not followed.
    """
    began = time.monotonic()

    def failed(message: str, *, final: bool = False) -> DeliveryResult:
        return DeliveryResult(message, final=final, duration=time.monotonic() - began)

    try:
        async with asyncio.timeout(timeout):
            return await _send(client, method, url, body, headers, began)
    except BadSource as error:
        return failed(error.message, final=True)
    except (TimeoutError, httpx2.TimeoutException):
        return failed(f"no response within {timeout:g} s")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return failed(f"{type(error).__name__}: {error}"[:300])


async def _send(
    client: httpx2.AsyncClient, method: str, url: str, body: bytes, headers: Mapping[str, str], began: float
) -> DeliveryResult:
    headers = {**headers, "Content-Type": "application/json"}
    # The response body is not read, as it can be endless.
    async with client.stream(method, url, content=body, headers=headers) as response:
        message = shown_text(f"{response.status_code} {response.reason_phrase}".strip()[:300])
        if response.is_redirect:
            message += " (redirects are not followed)"
        return DeliveryResult(
            message,
            delivered=response.is_success,
            final=response.status_code == _GONE,
            status=response.status_code,
            retry_after=parse_retry_after(response.headers.get("Retry-After")),
            duration=time.monotonic() - began,
        )
