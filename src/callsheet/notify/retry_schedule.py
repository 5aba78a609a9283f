"""Retry schedule of outgoing webhooks."""

import random

_DELAYS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds of delay after the first attempt, the second, …"""
_JITTER = 0.2
"""Relative jitter. It spreads the retries of many webhooks to a receiver that has recovered."""


def retry_delay(attempts: int, max_attempts: int, retry_after: float | None = None) -> float | None:
    """Return the delay in seconds until the next attempt; None after the last attempt.

    `attempts` is the number of attempts made, `max_attempts` the limit, and `retry_after` the delay in seconds from the
    receiver's Retry-After header.
    """
    if attempts >= max_attempts:
        return None
    delay = _DELAYS[min(attempts, len(_DELAYS)) - 1] * random.uniform(1, 1 + _JITTER)  # noqa: S311 - jitter
    return max(delay, retry_after or 0.0)
