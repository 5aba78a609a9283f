"""Delivery of the webhook of a fake task.

replicate.inject_faults(webhook=[WebhookScript(times=2), WebhookScript(times=0), WebhookScript(forged=True)])
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookScript:
    """The webhook of one task; by default one correct delivery, right after the end."""

    times: int = 1
    """Number of deliveries."""
    delay: float = 0
    """Seconds between the end of the task and the first delivery."""
    before_response: bool = False
    """The task ends, and its webhook is delivered, before the response to the submission."""
    forged: bool = False
    """The signature belongs to another message."""
    age: float = 0
    """Age of the signature in seconds."""
    reordered: bool = False
    """A webhook of the first stage is delivered after that of the end."""
    body: bytes | None = None
    """Replaces the correct body; the signature matches it."""


@dataclass(frozen=True, slots=True)
class SentWebhook:
    """A sent webhook, with the status of its response; 0: no response."""

    task_id: str
    body: bytes
    status: int
