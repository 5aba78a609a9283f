"""At which moments pictures are taken."""


def parts_of(duration: float, count: int | None, interval: float | None, most: int) -> tuple[list[float], int]:
    """Return where the parts of a film begin, and how many were asked for, which may be more than `most`.

    The parts are `count` equal ones, or `interval` seconds long; too many are made longer.
    """
    asked = max(1, int(duration / interval - 1e-6) + 1) if interval is not None else count or 1
    number = min(most, asked)
    step = interval if interval is not None and number == asked else duration / number
    return [index * step for index in range(number)], asked


def sample_times(duration: float, count: int | None, interval: float | None, most: int) -> tuple[list[float], int]:
    """Return the moments to show: the middles of equal parts, or every `interval` seconds from the start.

    The second value is how many were asked for, which may be more than `most`.
    """
    starts, asked = parts_of(duration, count, interval, most)
    half = 0.0 if interval is not None else duration / len(starts) / 2
    return [start + half for start in starts], asked
