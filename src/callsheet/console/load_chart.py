"""The chart of the load of a worker: a line for each kind of resource over the last day."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from callsheet.domain.resources import ResourcePoint

SPAN = timedelta(days=1)
"""Time that the chart shows."""
WIDTH, HEIGHT = 480, 80
_MAX_GAP = 3.0
"""Periods without a measurement after which a line is interrupted."""


def _highest(prefix: str) -> Callable[[Mapping[str, float]], float | None]:
    def read(levels: Mapping[str, float]) -> float | None:
        found = [percent for name, percent in levels.items() if name.partition(":")[0] == prefix]
        return max(found, default=None)

    return read


_LINES: Mapping[str, Callable[[Mapping[str, float]], float | None]] = {
    "cpu": _highest("cpu"),
    "memory": _highest("memory"),
    "disk": _highest("disk"),
    "gpu": _highest("gpu"),
    "gpu-memory": _highest("gpu-memory"),
}
NAMES: Mapping[str, str] = {
    "cpu": "CPU",
    "memory": "Memory",
    "disk": "Disk",
    "gpu": "GPU",
    "gpu-memory": "GPU memory",
}
"""What each line is called."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the chart."""

    kind: str
    name: str
    path: str
    """Of SVG."""
    newest: float
    """Percent."""


def chart_lines(points: Sequence[ResourcePoint], now: datetime) -> list[Line]:
    """Return the lines of the measurements of a worker, the highest of each kind. Without measurements: none."""
    start = now - SPAN
    lines = []
    for kind, read in _LINES.items():
        path, before, newest = [], None, None
        for point in points:
            percent = read(point.average)
            if percent is None or point.at < start:
                continue
            connects = before is not None and (point.at - before.at).total_seconds() <= _MAX_GAP * before.seconds
            path.append(f"{'L' if connects else 'M'}{_x(point.at - start)} {_y(percent)}")
            before, newest = point, percent
        if newest is not None:
            # A line of no length, so that a single measurement is a dot.
            lines.append(Line(kind, NAMES[kind], " ".join([*path, "l0 0"]), newest))
    return lines


def _x(since_start: timedelta) -> str:
    return f"{since_start / SPAN * WIDTH:.1f}".removesuffix(".0")


def _y(percent: float) -> str:
    return f"{HEIGHT - percent / 100 * HEIGHT:.1f}".removesuffix(".0")
