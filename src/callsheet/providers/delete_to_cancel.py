"""Base class of providers that cancel a task by deleting it: a missing task was cancelled, not lost."""

from collections import deque

from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import PollPolicy, Task, TaskStatus
from callsheet.providers.http.client import ProviderClient

_MAX_REMEMBERED = 1_000


class DeleteToCancelProvider(BaseProvider):
    """A provider that remembers which tasks this process has deleted recently."""

    def __init__(self, http: ProviderClient, poll_policy: PollPolicy) -> None:
        super().__init__(http, poll_policy)
        self._deleted: deque[str] = deque(maxlen=_MAX_REMEMBERED)

    def _missing_status(self, task: Task) -> TaskStatus:
        """Return the status of a task that the provider does not find."""
        if task.id in self._deleted:
            return TaskStatus("cancelled", "deleted", message=f"The task was deleted at {self.name}.")
        return self._lost_status()
