"""Providers whose tasks are cancelled by deleting them: what is not there then was cancelled, not lost."""

from collections import deque

from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import PollPolicy, Task, TaskStatus
from callsheet.providers.http.client import ProviderClient

_REMEMBERED = 1_000


class DeleteToCancelProvider(BaseProvider):
    """A provider that remembers which tasks it had deleted of late."""

    def __init__(self, http: ProviderClient, poll_policy: PollPolicy) -> None:
        super().__init__(http, poll_policy)
        self._deleted: deque[str] = deque(maxlen=_REMEMBERED)

    def _missing(self, task: Task) -> TaskStatus:
        """Return what it means that a task is not there."""
        if task.id in self._deleted:
            return TaskStatus("cancelled", "deleted", message=f"The task was deleted at {self.name}.")
        return self._lost_status()
