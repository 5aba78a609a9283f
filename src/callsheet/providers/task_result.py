"""Result of an ended task for its job."""

from callsheet.domain.errors import ProviderFailed
from callsheet.providers.contract import Task, TaskStatus

_MESSAGES = {
    "failed": "reported that the task failed",
    "cancelled": "cancelled the task",
    "lost": "does not know the task any more",
}
_CODES = {"failed": ProviderFailed.code, "cancelled": "task_cancelled", "lost": "task_lost"}


def require_success(task: Task, status: TaskStatus) -> TaskStatus:
    """Return the status of a task that has succeeded. Raises ProviderFailed for one that ended otherwise."""
    if status.state == "succeeded":
        return status
    facts = {"provider": task.provider, "providerJobId": task.id, "providerStatus": status.status}
    message = status.message or f"{task.provider} {_MESSAGES[status.state]}."
    raise ProviderFailed(message, code=status.code or _CODES[status.state], **facts)
