"""The contract of a provider: submit a task, poll it, fetch its files.

A submit ends in one of three ways:

- accepted: a Task is returned;
- certainly not accepted: SubmissionRejected, ProviderRateLimited or ProviderUnreachable is raised;
- unknown: SubmissionUnknown is raised.

A provider never sends a submission twice by itself: each one can cost money.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from callsheet.domain.json_storage import shown_text

TaskState = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
"""`lost`: the provider does not know the task (any more). An unknown state of a provider is `running`: polling
continues, and the task is never regarded as ended."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Optional features of a provider."""

    webhook: bool = False
    """It calls the webhook URL that a submission contains."""
    signed: bool = False
    """Its webhooks are signed, so that a forged one is detected."""
    cancel: bool = False
    progress: bool = False
    find_submission: bool = False
    """It lists its tasks, so that a submission whose response was lost can be found."""
    list_tasks: bool = False
    """It lists its recent tasks, so that those without a submission here can be found."""
    retention: timedelta | None = None
    """How long results can be fetched; None: until they are deleted."""
    inline_limit: int = 0
    """Maximum size, in bytes, of a file inside a submission; 0: files are accepted by URL only."""


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often a task is polled."""

    initial: timedelta = timedelta(seconds=5)
    """Time between the submission and the first poll."""
    factor: float = 1.5
    """Growth of the interval from one poll to the next."""
    max_interval: timedelta = timedelta(seconds=60)
    webhook_interval: timedelta = timedelta(seconds=60)
    """Minimum interval for a task whose end a webhook reports."""
    max_polls: int = 100
    """Polls after which a task is given up; not of a task whose end a webhook reports."""
    per_second: float | None = None
    """Rate limit of one worker, for all tasks of the provider together; None: no limit."""
    deadline: timedelta = timedelta(hours=24)
    """Maximum duration of a task since its submission; then it is cancelled and the job fails."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file in the input of a submission."""

    path: Path
    media_type: str
    url: str | None = field(default=None, repr=False)
    """A temporary URL from which the provider can fetch the file; None where there is none."""


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """One request to a provider to create a task."""

    model: str
    """The provider's name of the model."""
    input: Mapping[str, Any]
    """Input with the provider's names of the parameters; files are InputFile objects."""
    version: str | None = None
    webhook: str | None = field(default=None, repr=False)
    """The URL to call when the task has ended; it contains a secret token."""
    client_reference: str = ""
    """Unique id of this submission; sent to providers that accept one."""
    price: float | None = None
    """What a successful task costs by the price of the model, in US dollars; counts if the provider reports no cost."""


@dataclass(frozen=True, slots=True)
class Task:
    """An accepted submission. It is stored as JSON."""

    provider: str
    id: str
    """The provider's id of the task."""
    handle: Mapping[str, Any] = field(default_factory=dict)
    """Other data that is needed to poll the task, such as URLs; no secrets. For a task that is known from its webhook
    only, it contains just the `model` of the submission."""


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task in the list of a provider."""

    id: str
    model: str | None
    status: str
    """The provider's name of the state."""
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a task produced."""

    url: str | None = field(default=None, repr=False)
    """Often a signed URL: everybody who has it can fetch the file."""
    inline: bytes | None = field(default=None, repr=False)
    """The content of the file, where it is part of the response."""
    name: str | None = None
    media_type: str | None = None
    requires_api_key: bool = False
    """Whether the URL needs the provider's API key; the key is sent to the provider's own hosts only."""


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """Status of a task."""

    state: TaskState
    status: str
    """The provider's name of the state."""
    progress: float | None = None
    """0 to 1"""
    outputs: Sequence[Output] = ()
    code: str | None = None
    """Error code of a failure: `content_refused`, `provider_failed`, `deadline`, …"""
    message: str | None = None
    """Error message of a failure."""
    cost: float | None = None
    """US dollars, where the provider reports it."""
    seconds: float | None = None
    """Processing time, where the provider reports it."""
    retry_after: float | None = None
    """Seconds until the next poll, where the provider requests a delay."""

    def __post_init__(self) -> None:
        # People see these texts; whatever a provider writes into them, a terminal must not obey it.
        object.__setattr__(self, "status", shown_text(self.status))
        if self.message is not None:
            object.__setattr__(self, "message", shown_text(self.message))

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in ("succeeded", "failed", "cancelled", "lost")


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Content of a verified webhook. It only triggers a poll of the task."""

    task_id: str | None
    """The provider's id of the task; None where the webhook contains none."""
    message_id: str
    """The same in every delivery of one message."""
    status: str
    """The provider's name of the state."""


class Provider(Protocol):
    """A provider. It is created from its settings and holds one HTTP client.

        class Acme(BaseProvider):
            name = "acme"
            settings_class = AcmeSettings
            capabilities = Capabilities(cancel=True)

            async def submit(self, request: SubmitRequest) -> Task:
                response = await self._http.submit("POST", "/v1/tasks", json={**request.input, "model": request.model})
                return self._task(response, response.at("id"))

    A package offers it by the entry point `acme = "acme_package:Acme"` in the group `callsheet.providers`.
    """

    @property
    def name(self) -> str:
        """Name in the model registry and in the database."""

    @property
    def capabilities(self) -> Capabilities:
        """Optional features."""

    @property
    def poll_policy(self) -> PollPolicy:
        """How often its tasks are polled."""

    async def submit(self, request: SubmitRequest) -> Task:
        """Send a submission, once.

        Raises SubmissionRejected, ProviderRateLimited or ProviderUnreachable when it was certainly not accepted,
        SubmissionUnknown in all other cases.
        """

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a task. Raises ProviderUnreachable, or ProviderRateLimited at too many polls."""

    async def fetch(self, output: Output, target: Path) -> Path:
        """Download an output to `target`, streamed, limited in size, from permitted hosts only.

        Raises OutputExpired, ProviderUnreachable, or ProviderFailed with the code `foreign_host`.
        """

    async def cancel(self, task: Task) -> None:
        """Request the cancellation of a task; a task that has ended is no error. Raises ProviderUnreachable."""

    async def find_submission(
        self, request: SubmitRequest, since: datetime, others: Collection[str] = ()
    ) -> Task | None:
        """Search the tasks created since then for a submission whose response was lost; None if there is no match.

        None is no proof: a list can lag behind, or belong to another account. It never leads to a second submission.
        `others` are ids of tasks that belong to other submissions with the same input.
        Raises SubmissionUnknown when several tasks match, or when the provider cannot list its tasks.
        """

    async def list_tasks(self, since: datetime) -> Sequence[ListedTask]:
        """Return the tasks of the account that were created since then; only with the capability `list_tasks`.

        Raises ProviderUnreachable, ProviderRateLimited, or ProviderFailed when the API cannot list tasks.
        """

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify and parse a webhook. Raises BadWebhook for a forged, expired or malformed one."""

    async def close(self) -> None:
        """Close all connections."""
