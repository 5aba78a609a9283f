"""What providers have in common that cannot be cancelled, list nothing and call nobody."""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from callsheet.domain.errors import BadWebhook, SubmissionUnknown
from callsheet.providers.contract import Capabilities, Output, PollPolicy, SubmitRequest, Task, TaskStatus, WebhookEvent
from callsheet.providers.http.client import ProviderClient, ProviderResponse
from callsheet.providers.http.json_fields import text


class BaseProvider:
    """The least of a provider. What one can do besides, its own class says."""

    name: str
    capabilities: Capabilities
    hosts: frozenset[str] | None = frozenset()
    """Where its files are, besides its own origin; None: anywhere on the public internet."""

    def __init__(self, http: ProviderClient, poll_policy: PollPolicy) -> None:
        self.poll_policy = poll_policy
        self._http = http

    async def fetch(self, output: Output, target: Path) -> Path:
        """Bring a file here; the key goes to the provider's own origin only."""
        return await self._http.fetch(output, target, hosts=_host_of(output) if self.hosts is None else self.hosts)

    async def cancel(self, task: Task) -> None:
        """Let the task go on: the provider has no way to end it."""

    async def find_submission(self, order: SubmitRequest, since: datetime, others: Collection[str] = ()) -> Task | None:  # noqa: ARG002
        """Raise SubmissionUnknown: the provider does not list its tasks."""
        raise SubmissionUnknown(f"{self.name} cannot be asked which orders it has taken.", provider=self.name)

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Raise BadWebhook: the provider calls nobody."""
        raise BadWebhook(f"{self.name} is not known to call anybody.")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()

    def _task(self, answer: ProviderResponse, task_id: Any, **handle: Any) -> Task:
        """Return the task that an answer names. Raises SubmissionUnknown where it names none."""
        named = text(task_id)
        # Such a character cannot be kept.
        if named is None or "\0" in named:
            self._http.raise_unreadable_submission(answer)
        return Task(self.name, named, handle)

    def _lost_status(self) -> TaskStatus:
        return TaskStatus("lost", "not found", message=f"{self.name} does not know the task any more.")


def _host_of(output: Output) -> frozenset[str]:
    try:
        return frozenset({httpx2.URL(output.url or "").host})
    except (httpx2.InvalidURL, ValueError):
        return frozenset()
