"""Sample times of preview images."""


def interval_starts(duration: float, count: int | None, interval: float | None, limit: int) -> tuple[list[float], int]:
    """Return the starts of `count` equal intervals, or of intervals of `interval` seconds, and the requested number.

    If more than `limit` intervals are requested, they are made longer.
    """
    requested = max(1, int(duration / interval - 1e-6) + 1) if interval is not None else count or 1
    number = min(limit, requested)
    step = interval if interval is not None and number == requested else duration / number
    return [index * step for index in range(number)], requested


def sample_times(duration: float, count: int | None, interval: float | None, limit: int) -> tuple[list[float], int]:
    """Return the centers of `count` equal intervals, or times every `interval` seconds from the start.

    The second value is the requested number, which may exceed `limit`.
    """
    starts, requested = interval_starts(duration, count, interval, limit)
    half = 0.0 if interval is not None else duration / len(starts) / 2
    return [start + half for start in starts], requested
