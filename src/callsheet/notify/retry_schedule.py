"""How long to wait before a webhook is sent again."""

import random

_DELAYS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds after the first attempt, the second, …"""
_JITTER = 0.2
"""So that a receiver that comes back is not met by everything at once."""


def retry_delay(attempts: int, max_attempts: int, retry_after: float | None = None) -> float | None:
    """Return the seconds until the next attempt, None when there is none.

    `attempts` counts those made, `most` those allowed; `asked` is what the receiver asked for, by Retry-After.
    """
    if attempts >= max_attempts:
        return None
    delay = _DELAYS[min(attempts, len(_DELAYS)) - 1] * random.uniform(1, 1 + _JITTER)  # noqa: S311 - jitter
    return max(delay, retry_after or 0.0)
