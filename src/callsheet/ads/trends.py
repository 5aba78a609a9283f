"""Robust trends of a daily series: a slope that outliers do not move, the weekend taken out, and a sum of changes."""

from collections.abc import Sequence
from datetime import date
from statistics import median
from typing import NamedTuple

_MAD_TO_DEVIATION = 1.4826
"""The median absolute deviation of normal values, times this, is their standard deviation."""
_NEIGHBOR_DAYS = 4
_FEWEST_WEEKEND_DAYS = 3
_SATURDAY = 5


class Point(NamedTuple):
    """A value of one day."""

    day: date
    value: float
    noise: float = 0.0
    """Standard deviation that the value has from its counts alone."""


def slope(points: Sequence[Point]) -> float:
    """Return the change per day: the median of the slopes between all pairs of days. 0 for fewer than two days.

    Almost 30 % of the values can be outliers. Source: Theil (1950); Sen, *Estimates of the Regression Coefficient Based
    on Kendall's Tau* (1968).

        slope([Point(date(2026, 11, 1), 1.0), Point(date(2026, 11, 3), 2.0)])  # 0.5
    """
    slopes = [
        (later.value - earlier.value) / (later.day - earlier.day).days
        for place, earlier in enumerate(points)
        for later in points[place + 1 :]
    ]
    return median(slopes) if slopes else 0.0


def without_weekends(points: Sequence[Point]) -> list[Point]:
    """Return the points with the weekend effect taken out.

    It is the median, over the days of weekends, of the difference from the median of the working days at most 4 days
    away; so a trend does not enter it. With fewer than 3 such days, nothing is taken out.
    """
    working = [point for point in points if point.day.weekday() < _SATURDAY]
    effects = []
    for point in points:
        if point.day.weekday() < _SATURDAY:
            continue
        if near := [each.value for each in working if abs((each.day - point.day).days) <= _NEIGHBOR_DAYS]:
            effects.append(point.value - median(near))
    if len(effects) < _FEWEST_WEEKEND_DAYS:
        return list(points)
    effect = median(effects)
    return [
        point._replace(value=point.value - effect) if point.day.weekday() >= _SATURDAY else point for point in points
    ]


def level(points: Sequence[Point]) -> tuple[float, float]:
    """Return the median, and the robust standard deviation around it (Hampel 1974)."""
    middle = median(point.value for point in points)
    return middle, _MAD_TO_DEVIATION * median(abs(point.value - middle) for point in points)


def rise(points: Sequence[Point], reference: tuple[float, float], *, floor: float, slack: float, limit: float) -> float:
    """Return the upper cumulative sum at the last point: how surely the values have risen above the reference.

    Each value counts by its standardized distance, less `slack`, and the sum never falls below 0 (Page 1954). The
    distance is bounded by `limit` on both sides, so that no single day raises an alarm (Lucas and Crosier, *Robust
    CUSUM*, 1982). `floor` is the lowest standard deviation, since that of few days can be far too low.
    """
    middle, deviation = reference
    total = 0.0
    for point in points:
        distance = (point.value - middle) / max(deviation, floor, point.noise)
        total = max(0.0, total + max(-limit, min(distance, limit)) - slack)
    return total
