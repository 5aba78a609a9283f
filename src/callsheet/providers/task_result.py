"""What an ended task means for the job that ordered it."""

from callsheet.domain.errors import ProviderFailed
from callsheet.providers.contract import Task, TaskStatus

_WORDS = {"failed": "failed at the task", "cancelled": "cancelled the task", "lost": "does not know the task any more"}
_CODES = {"failed": ProviderFailed.code, "cancelled": "task_cancelled", "lost": "task_lost"}


def require_success(task: Task, look: TaskStatus) -> TaskStatus:
    """Return the look at a task that has ended well; raises ProviderFailed for one that ended otherwise."""
    if look.state == "succeeded":
        return look
    facts = {"provider": task.provider, "providerJobId": task.id, "providerStatus": look.status}
    message = look.message or f"{task.provider} {_WORDS[look.state]}."
    raise ProviderFailed(message, code=look.code or _CODES[look.state], **facts)
