"""HTTP client of one provider: `submit` costs money and is sent once, `get` is free, `fetch` downloads a file."""

from pathlib import Path
from typing import Any, NoReturn

import httpx2

from callsheet.domain.errors import ProviderUnreachable
from callsheet.http_clients import describe_error
from callsheet.providers.contract import Output
from callsheet.providers.http.downloads import Downloads
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.rate_limiter import RateLimiter
from callsheet.providers.http.redaction import sanitize
from callsheet.providers.http.response import ProviderResponse, requested_delay
from callsheet.providers.http.submission import (
    NOT_SENT,
    RATE_LIMITED,
    check_accepted,
    raise_if_task_named,
    rate_limited,
    unknown_submission,
)
from callsheet.providers.http.transport import AuthHeaders, ClientLimits, Transport
from callsheet.settings import Settings


class ProviderClient:
    """Requests to one provider, with its authentication, limits and error mapping.

        http = ProviderClient("acme", ProviderHosts(acme.url), settings, auth=static_headers(Authorization="Bearer …"))
        response = await http.submit("POST", "/v1/tasks", json=body)
        response = await http.get("GET", f"/v1/tasks/{task.id}")

    Keyword arguments of a request (`json`, `params`, `headers`, …) are those of httpx2.
    """

    def __init__(
        self,
        provider: str,
        hosts: ProviderHosts,
        settings: Settings,
        *,
        auth: AuthHeaders,
        limits: ClientLimits | None = None,
    ) -> None:
        limits = limits or ClientLimits()
        concurrency = limits.concurrency or settings.provider_concurrency
        self.provider = provider
        self._transport = Transport(provider, hosts, auth, limits, concurrency)
        self._downloads = Downloads(self._transport, settings, concurrency)
        self._submit_limiter = RateLimiter(limits.submits_per_second)

    @property
    def base_url(self) -> str:
        """Base URL of the API, without a slash at the end."""
        return self._transport.base_url

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def submit(
        self, method: str, path: str, *, task_id_path: tuple[str, ...] = ("id",), **request: Any
    ) -> ProviderResponse:
        """Send a submission, once, and return its success response; `task_id_path` leads to the task id in it.

        Raises SubmissionRejected, ProviderRateLimited and ProviderUnreachable when it was certainly not accepted,
        SubmissionUnknown when that is unknown: without a response, after a server error, or when an error response
        contains a task id.
        """
        await self._submit_limiter.acquire()
        try:
            response = await self._transport.send(method, path, request, new_connection=True)
        except NOT_SENT as error:
            raise ProviderUnreachable(f"{self.provider} cannot be reached: {describe_error(error)}") from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise unknown_submission(self.provider, f"no response arrived ({describe_error(error)})") from error
        return check_accepted(self.provider, response, task_id_path)

    async def get(self, method: str, path: str, **request: Any) -> ProviderResponse:
        """Send a request that costs nothing and return its response, whatever its status; transient errors are raised.

        Raises ProviderUnreachable and ProviderRateLimited.
        """
        return self.raise_if_transient(await self.request(method, path, **request))

    async def request(self, method: str, path: str, **request: Any) -> ProviderResponse:
        """Send a request that costs nothing and return every response, also a 5xx. Raises ProviderUnreachable."""
        try:
            return await self._transport.send(method, path, request)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise ProviderUnreachable(f"{self.provider} did not respond: {describe_error(error)}") from error

    def raise_if_transient(self, response: ProviderResponse) -> ProviderResponse:
        """Return a response, unless its error is transient: then raise ProviderUnreachable or ProviderRateLimited."""
        if response.status in RATE_LIMITED:
            raise rate_limited(self.provider, response)
        if response.status == 408 or response.status >= 500:
            message = f"{self.provider} responded with {sanitize(response)}"
            raise ProviderUnreachable(message, retry_after=requested_delay(response.headers))
        return response

    def json_object(self, response: ProviderResponse) -> dict[str, Any]:
        """Return the JSON object of a success response. Raises ProviderUnreachable for any other response."""
        if not response.ok:
            raise ProviderUnreachable(f"{self.provider} responded with {sanitize(response)}")
        fields = response.fields()
        if not fields:
            raise ProviderUnreachable(f"{self.provider} responded with {response.status}, but without a JSON object")
        return fields

    async def fetch(self, output: Output, target: Path, *, hosts: frozenset[str] = frozenset()) -> Path:
        """Write an output to `target`, from the provider's own hosts or from the domains in `hosts`.

        Raises OutputExpired, ProviderFailed for a foreign host, ProviderUnreachable, DiskFull.
        """
        return await self._downloads.fetch(output, target, hosts=hosts)

    async def download(
        self, url: str, target: Path, *, hosts: frozenset[str] = frozenset(), with_key: bool = False
    ) -> Path:
        """Download a URL to `target`, with the same rules and errors as `fetch`."""
        return await self._downloads.download(url, target, hosts=hosts, with_key=with_key)

    def is_provider_host(self, url: str) -> bool:
        """Return whether a URL belongs to the provider, so that its API key can be sent there."""
        return self._transport.hosts.includes(url)

    def raise_if_task_named(self, response: ProviderResponse, *task_id_path: str) -> None:
        """Raise SubmissionUnknown for an error response that contains a task id: the task was perhaps created."""
        raise_if_task_named(self.provider, response, *task_id_path)

    def raise_unreadable_submission(self, response: ProviderResponse) -> NoReturn:
        """Raise SubmissionUnknown for a success response without a task id."""
        reason = f"the response ({response.status}) contains no task id"
        raise unknown_submission(self.provider, reason, status=response.status)
