"""Base class of providers, with defaults for the optional features."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from callsheet.domain.errors import BadWebhook, ProviderFailed, SubmissionUnknown
from callsheet.providers.contract import (
    Capabilities,
    ListedTask,
    Output,
    PollPolicy,
    SubmitRequest,
    Task,
    TaskStatus,
    WebhookEvent,
)
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.json_fields import text
from callsheet.providers.http.response import ProviderResponse
from callsheet.providers.key_check import FreeRequest, rejection_of_key
from callsheet.providers.settings import ProviderSettings


class BaseProvider:
    """A provider that cannot cancel, lists no tasks and sends no webhooks. Subclasses override what they support."""

    name: str
    settings_class: type[ProviderSettings]
    capabilities: Capabilities
    file_hosts: frozenset[str] | None = frozenset()
    """Domains that host its files, besides its own origin; None: any host on the public internet."""

    def __init__(self, http: ProviderClient, poll_policy: PollPolicy) -> None:
        self.poll_policy = poll_policy
        self._http = http

    async def fetch(self, output: Output, target: Path) -> Path:
        """Download an output to `target`; the API key is sent to the provider's own origin only."""
        hosts = _host_of(output) if self.file_hosts is None else self.file_hosts
        return await self._http.fetch(output, target, hosts=hosts)

    async def cancel(self, task: Task) -> None:
        """Do nothing: the provider has no way to cancel a task."""

    async def find_submission(
        self,
        request: SubmitRequest,  # noqa: ARG002
        since: datetime,  # noqa: ARG002
        others: Collection[str] = (),  # noqa: ARG002
    ) -> Task | None:
        """Raise SubmissionUnknown: the provider does not list its tasks."""
        raise SubmissionUnknown(f"{self.name} cannot list the submissions it has accepted.", provider=self.name)

    async def list_tasks(self, since: datetime) -> Sequence[ListedTask]:  # noqa: ARG002
        """Raise ProviderFailed: the API of the provider cannot list tasks."""
        raise ProviderFailed(f"The API of {self.name} cannot list tasks.")

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Raise BadWebhook: the provider sends no webhooks."""
        raise BadWebhook(f"{self.name} sends no webhooks.")

    def free_request(self, model: str | None) -> FreeRequest | None:  # noqa: ARG002
        """Return a request that only checks the key; `model` is the provider's name of one of its models.

        None: the API has none, or it needs a model.
        """
        return None

    async def rejection_of_key(self, request: FreeRequest) -> str | None:
        """Send a free request, and return the provider's reason to reject the key; None if it accepts the key.

        Raises ProviderUnreachable and ProviderRateLimited.
        """
        return await rejection_of_key(self._http, request)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _task(self, response: ProviderResponse, task_id: Any, **handle: Any) -> Task:
        """Return the task with the id from a response. Raises SubmissionUnknown for a missing or invalid id."""
        parsed = text(task_id)
        # PostgreSQL cannot store NUL in a text.
        if parsed is None or "\0" in parsed:
            self._http.raise_unreadable_submission(response)
        return Task(self.name, parsed, handle)

    def _lost_status(self) -> TaskStatus:
        return TaskStatus("lost", "not found", message=f"{self.name} does not know the task any more.")


def _host_of(output: Output) -> frozenset[str]:
    try:
        return frozenset({httpx2.URL(output.url or "").host})
    except (httpx2.InvalidURL, ValueError):
        return frozenset()
