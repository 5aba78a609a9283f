"""What a provider is: it takes orders, is looked at until they are done, and gives files.

A submit ends in one of three ways. It is accepted, and a Task comes back; nothing was ordered, and Refused,
ProviderRateLimited or ProviderUnreachable says so; or nobody knows, and SubmissionUnknown says so. No provider sends an order
twice by itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

TaskState = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
"""`lost`: the provider does not know the task (any more). A state that a provider invents is `running`: it is looked
at again, and never taken for an end."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do. A quirk is told here as data, with the date it was seen, not in branches of code."""

    webhook: bool = False
    """It calls back an address that comes with each order."""
    signed: bool = False
    """Its calls are signed, so that a forged one is told from its own."""
    cancel: bool = False
    progress: bool = False
    find_submission: bool = False
    """Its orders can be listed, so that one whose answer was lost is found again."""
    retention: timedelta | None = None
    """How long results can be fetched; None: until somebody deletes them."""
    inline_limit: int = 0
    """Bytes of a file that may stand inside an order; 0: files are taken by URL only."""
    quirks: Mapping[str, str] = field(default_factory=dict)
    """Name → what was seen, with the date."""


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often a task is looked at."""

    initial: timedelta = timedelta(seconds=5)
    factor: float = 1.5
    max_interval: timedelta = timedelta(seconds=60)
    webhook_interval: timedelta = timedelta(seconds=60)
    """The shortest interval for a task whose end a webhook tells."""
    max_polls: int = 100
    per_second: float | None = None
    """Looks by one worker, at all tasks together; None: as many as it answers."""
    deadline: timedelta = timedelta(hours=24)
    """From the acceptance on; then the task is cancelled and the job fails."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that goes into an order."""

    path: Path
    media_type: str
    url: str | None = field(default=None, repr=False)
    """Where the provider can fetch it, if anywhere; it lives for a while only."""


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """What is asked of a provider."""

    model: str
    """By the provider's own name."""
    input: Mapping[str, Any]
    """By the provider's own words; an InputFile stands wherever a file goes."""
    version: str | None = None
    webhook: str | None = field(default=None, repr=False)
    """The address to call when the task has ended; it holds a token that only the provider learns."""
    client_reference: str = ""
    """Unique to this submission; sent along where the provider has a place for it."""


@dataclass(frozen=True, slots=True)
class Task:
    """An order that a provider has accepted. It is stored as JSON."""

    provider: str
    id: str
    """By which the provider knows it."""
    handle: Mapping[str, Any] = field(default_factory=dict)
    """What else it takes to ask for it again, such as addresses; no secrets. Of a task that only its webhook told of,
    there is no more than the order's `model`."""


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a task made."""

    url: str | None = field(default=None, repr=False)
    """Often signed, so that whoever has it has the file."""
    inline: bytes | None = field(default=None, repr=False)
    """The file itself, where it comes with the answer."""
    name: str | None = None
    media_type: str | None = None
    requires_api_key: bool = False
    """Whether the provider's own key opens it; it is sent to the provider's own hosts only."""


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """How a task stands."""

    state: TaskState
    status: str
    """By the provider's own word."""
    progress: float | None = None
    """0 to 1"""
    outputs: Sequence[Output] = ()
    code: str | None = None
    """Why it failed, in a stable word: `content_refused`, `provider_failed`, `deadline`, …"""
    message: str | None = None
    """Why it failed, for people."""
    cost: float | None = None
    """US dollars, where the provider tells."""
    seconds: float | None = None
    """That the provider worked on it, where it tells."""
    retry_after: float | None = None
    """Seconds that the provider asks to wait before the next look, where it does."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ("succeeded", "failed", "cancelled", "lost")


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a webhook says: a hint to look at the task, no more."""

    task_id: str | None
    """By which the provider knows the task; None where it does not say."""
    message_id: str
    """Equal in every delivery of one message."""
    status: str
    """By the provider's own word."""


class Provider(Protocol):
    """One provider. Time-outs, rate limits and addresses come from its settings; it holds one HTTP client."""

    @property
    def name(self) -> str:
        """As in the model registry and in the database."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def poll_policy(self) -> PollPolicy:
        """How often it wants to be looked at."""

    async def submit(self, order: SubmitRequest) -> Task:
        """Send an order, once.

        Raises Refused, ProviderRateLimited or ProviderUnreachable when certainly nothing was ordered, else SubmissionUnknown.
        """

    async def get_status(self, task: Task) -> TaskStatus:
        """Ask how a task stands. Raises ProviderUnreachable, or ProviderRateLimited when asked too often."""

    async def fetch(self, output: Output, target: Path) -> Path:
        """Bring a file here, streamed, capped, from hosts that may be asked.

        Raises OutputExpired, ProviderUnreachable, or ProviderFailed with the code `foreign_host`.
        """

    async def cancel(self, task: Task) -> None:
        """Ask for the task's end; that it had ended already is fine. Raises ProviderUnreachable."""

    async def find_submission(self, order: SubmitRequest, since: datetime, others: Collection[str] = ()) -> Task | None:
        """Look for an order whose answer was lost, among those made since; None when the list does not show it.

        None proves nothing: a list may lag, or be another account's. Nothing is ordered anew because of it.
        `others` are ids of tasks that belong to other orders, however alike they look.
        Raises SubmissionUnknown where several could be the one, or the provider cannot list.
        """

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Check and read a call of the provider. Raises BadWebhook for one that is forged, too old or malformed."""

    async def close(self) -> None:
        """Let go of connections."""
