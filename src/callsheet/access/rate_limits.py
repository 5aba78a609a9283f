"""Rate limits of API keys: a token bucket for each key, in the memory of a server process."""

import time
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimits:
    """Counts the requests of keys. A key may use its requests of ten seconds at once."""

    def __init__(self) -> None:
        self._buckets: dict[UUID, _Bucket] = {}

    def take(self, key_id: UUID, per_minute: int) -> float | None:
        """Count a request. Returns None, or the seconds until the next one is allowed."""
        now, rate = time.monotonic(), per_minute / 60
        size = max(rate * 10, 1.0)
        bucket = self._buckets.setdefault(key_id, _Bucket(size, now))
        bucket.tokens = min(size, bucket.tokens + (now - bucket.filled_at) * rate)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / rate
        bucket.tokens -= 1
        return None
