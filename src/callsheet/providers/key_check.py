"""Check of an API key by a request that costs nothing and changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callsheet.domain.errors import ProviderUnreachable
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.redaction import sanitize
from callsheet.providers.http.response import ProviderResponse

_REJECTED = (401, 403)
UNKNOWN_TASK = "00000000-0000-4000-8000-000000000000"
"""Id of a task that no provider has."""


@dataclass(frozen=True, slots=True)
class FreeRequest:
    """A request that needs the API key, costs nothing and changes nothing."""

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    also_accepted: tuple[int, ...] = ()
    """Statuses besides 2xx that only a request with a valid key receives, such as 404 for an unknown task."""


async def rejection_of_key(http: ProviderClient, request: FreeRequest) -> str | None:
    """Send a free request, and return the response of a provider that rejects the key; None if it accepts the key.

    Raises ProviderUnreachable and ProviderRateLimited, also for a response that says neither.
    """
    body = {} if request.json is None else {"json": request.json}
    response = await http.get(request.method, request.path, **body)
    if response.ok or response.status in request.also_accepted:
        return None
    if response.status in _REJECTED or _names_invalid_key(response):
        return sanitize(response)
    raise ProviderUnreachable(f"{http.provider} responded with {sanitize(response)}")


def _names_invalid_key(response: ProviderResponse) -> bool:
    """Return whether this is Google's response to a wrong key, which has the status of bad input (2026-01)."""
    return response.status == 400 and "api key not valid" in sanitize(response).lower()
