"""What this process has counted since it last added it to the stored totals."""

import math
import threading
from bisect import bisect_left
from typing import NamedTuple

from callsheet.metrics.catalog import SECONDS, Metric

_MAX_LABELS = 1000
"""Different labels of a metric that one process counts; others are counted under the name below."""
_OTHER = "other"
_MAX_CHARACTERS = 120


class Change(NamedTuple):
    """An addition to one number of the stored totals."""

    name: str
    """Of the metric; with `_sum` for the sum of a histogram."""
    labels: tuple[str, ...]
    bound: float
    """Largest value of the bucket; infinite for the last one and for other numbers."""
    value: float


class _Changes:
    """Additions by their key. Operations may count in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, tuple[str, ...], float], float] = {}
        self._labels: dict[str, set[tuple[str, ...]]] = {}

    def add(self, name: str, labels: tuple[str, ...], bound: float, value: float) -> None:
        with self._lock:
            seen = self._labels.setdefault(name, set())
            if labels not in seen:
                if len(seen) >= _MAX_LABELS:
                    labels = (_OTHER,) * len(labels)
                seen.add(labels)
            key = (name, labels, bound)
            self._values[key] = self._values.get(key, 0.0) + value

    def take(self) -> list[Change]:
        with self._lock:
            values, self._values = self._values, {}
        return [Change(*key, value) for key, value in values.items()]


_changes = _Changes()


def count(metric: Metric, *labels: str, amount: float = 1.0) -> None:
    """Add to a counter. `labels` are the values of its labels, in the order of the catalog."""
    _changes.add(metric.name, _values(metric, labels), math.inf, amount)


def observe(metric: Metric, seconds: float, *labels: str) -> None:
    """Add a duration to a histogram."""
    values, place = _values(metric, labels), bisect_left(SECONDS, seconds)
    _changes.add(metric.name, values, SECONDS[place] if place < len(SECONDS) else math.inf, 1.0)
    _changes.add(f"{metric.name}_sum", values, math.inf, seconds)


def take_changes() -> list[Change]:
    """Return all additions since the last call. The caller stores them."""
    return _changes.take()


def _values(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {', '.join(metric.labels) or 'none'}, not {labels}")
    return tuple(label[:_MAX_CHARACTERS] for label in labels)


def status_class(status: int) -> str:
    """Return the label of an HTTP status: `2xx`, `4xx`…; 0 is `none`."""
    return f"{status // 100}xx" if status else "none"
