"""Providers whose tasks are cancelled by deleting them: what is not there then was cancelled, not lost."""

from collections import deque

from callsheet.providers.base import PlainProvider
from callsheet.providers.contract import Look, Polling, Task
from callsheet.providers.http.client import Http

_REMEMBERED = 1_000


class DeletingProvider(PlainProvider):
    """A provider that remembers which tasks it had deleted of late."""

    def __init__(self, http: Http, polling: Polling) -> None:
        super().__init__(http, polling)
        self._deleted: deque[str] = deque(maxlen=_REMEMBERED)

    def _missing(self, task: Task) -> Look:
        """Return what it means that a task is not there."""
        if task.id in self._deleted:
            return Look("cancelled", "deleted", message=f"The task was deleted at {self.name}.")
        return self._lost()
