"""Poll schedule of a provider task: exponential backoff with jitter."""

import random
from datetime import timedelta

from callsheet.providers.contract import Provider


def next_poll_delay(provider: Provider, polls: int, *, webhook: bool) -> float:
    """Return the seconds until the next poll of a task after this number of polls.

    `webhook` means that the provider was asked to send a webhook, so that polls can be less frequent.
    """
    policy = provider.poll_policy
    max_interval = policy.max_interval.total_seconds()
    seconds = min(max_interval, policy.initial.total_seconds() * policy.factor ** min(polls, 100))
    if webhook:
        seconds = max(seconds, policy.webhook_interval.total_seconds())
    if provider.capabilities.retention is not None:
        seconds = min(seconds, _retention_limit(provider.capabilities.retention))
    # Jitter only adds: never earlier than the policy permits, and not all tasks at once.
    return seconds * random.uniform(1, 1.1)  # noqa: S311 - jitter


def _retention_limit(retention: timedelta) -> float:
    """Return the longest interval that leaves enough time to fetch the results before they expire."""
    return retention.total_seconds() / 4
