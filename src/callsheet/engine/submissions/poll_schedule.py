"""The poll schedule of a provider task: seconds until the next poll."""

import random
from datetime import timedelta

from callsheet.providers.contract import Provider


def next_poll_delay(provider: Provider, looks: int, *, webhook: bool) -> float:
    """Return seconds until the next look at a task that was looked at so often: longer each time, jittered."""
    poll_policy = provider.poll_policy
    longest = poll_policy.max_interval.total_seconds()
    seconds = min(longest, poll_policy.initial.total_seconds() * poll_policy.factor ** min(looks, 100))
    if webhook:
        seconds = max(seconds, poll_policy.webhook_interval.total_seconds())
    if provider.capabilities.retention is not None:
        seconds = min(seconds, _before_it_is_gone(provider.capabilities.retention))
    # Never sooner than asked for, and never all at once.
    return seconds * random.uniform(1, 1.1)  # noqa: S311 - jitter


def _before_it_is_gone(retention: timedelta) -> float:
    """Results that are kept for so long are seen with time left to fetch them."""
    return retention.total_seconds() / 4
