"""How a task's end is told to the address that came with the order.

replicate.forecast(webhook=[Calls(first=True), Calls(times=2), Calls(times=0), Calls(forged=True)])
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookScript:
    """The webhook of one task; without a forecast: once, at once, and true."""

    times: int = 1
    """0: it is never called."""
    delay: float = 0
    """Seconds after the task's end."""
    before_response: bool = False
    """The task ends, and is told, before the order is answered."""
    forged: bool = False
    """The signature belongs to another message."""
    age: float = 0
    """Seconds that the signature is old."""
    reordered: bool = False
    """What was true before the end is told after it."""
    body: bytes | None = None
    """In place of the true message, and well signed."""


@dataclass(frozen=True, slots=True)
class SentWebhook:
    """A webhook that was sent, with the status of the answer; 0: none came."""

    task_id: str
    body: bytes
    status: int
