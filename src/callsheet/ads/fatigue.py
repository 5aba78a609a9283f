"""Fatigue of ads: people have seen an ad too often, before they stop to click.

Three figures lead the click-through rate: the frequency rises, the cost per thousand impressions rises, and engagement
falls. Each is compared with the first days of the ad, as a logarithm, so that all changes are relative.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Literal

from callsheet.ads.trends import Point, level, rise, slope, without_weekends

SignalName = Literal["frequency", "cpm", "engagement", "click-through"]
"""A figure that is watched. The first three lead the last one."""
Severity = Literal["none", "watch", "warning", "critical"]
"""How tired an ad is."""
Status = Literal["assessed", "too_few_days", "no_recent_days"]
"""Whether an ad could be assessed."""

LOOKBACK_DAYS = 42
"""Days that are read: the reference, and what came after it."""
_LEAST_COST = 1e-6
"""Of 1,000 impressions, in the currency's unit. Less is no spend, and its logarithm or ratio could overflow."""
_FEWEST_IMPRESSIONS = 100
"""A day with fewer says nothing: the ad was paused, or the day has just begun."""
_REFERENCE_DAYS = 10
_FEWEST_DAYS_AFTER = 3
_FEWEST_POINTS = _REFERENCE_DAYS + _FEWEST_DAYS_AFTER
_RECENT = timedelta(days=4)
"""An ad without a usable day in this time is not assessed."""
_TREND = timedelta(days=14)
"""Days of the slope: two weeks, so that each day of the week counts the same."""
_LEVEL_DAYS = 3
_FLOOR = 0.05
"""Lowest standard deviation of a relative figure from day to day."""
_SLACK = 0.75
"""Deviations that count as no change. Page's sum is quickest for a change of twice as much (Montgomery, *Statistical
Quality Control*, chapter 9: slack = half of the change to find)."""
_ALARM = 8.0
"""The sum from which a signal is on. Montgomery: 4 to 5 for a known reference; more, as ours has ten days only."""
_LIMIT = 3.0
"""One day counts as at most so many deviations."""
_LEAST_SLOPE = 0.005
"""A signal is on only while its figure gets worse by this much per day…"""
_LEAST_CHANGE = 0.20
"""… or has become worse by this much."""


@dataclass(frozen=True, slots=True)
class AdDay:
    """What an ad did on one day. None: not reported."""

    day: date
    impressions: int
    clicks: int
    spend: float
    reach: int | None = None
    engagements: int | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """One figure of an ad, compared with its first days."""

    name: SignalName
    value: float
    """Median of the last three usable days, without the weekend effect."""
    reference: float
    """Median of the first days."""
    change: float
    """`value` relative to `reference`; 0.2: 20 % higher."""
    slope: float
    """Relative change per day, over the last two weeks."""
    evidence: float
    """Cumulative sum of the change for the worse, relative to its alarm; the signal can be on from 1."""
    on: bool
    """The figure has become worse, surely and by enough."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """How tired an ad is, and why."""

    status: Status
    severity: Severity
    score: float
    """From 0 to 1: mean evidence of the leading signals; one that is twice its alarm, or more, counts as 1."""
    signals: tuple[Signal, ...]
    days: int
    """Usable days."""


_Figure = Callable[[AdDay], tuple[float, float] | None]
"""Returns a figure of a day and the relative noise of its counts; None: not known."""


def _frequency(day: AdDay) -> tuple[float, float] | None:
    return (day.impressions / day.reach, 0.0) if day.reach else None


def _cpm(day: AdDay) -> tuple[float, float] | None:
    cost = 1000 * day.spend / day.impressions
    return (cost, 0.0) if cost >= _LEAST_COST else None


def _engagement(day: AdDay) -> tuple[float, float] | None:
    return None if day.engagements is None else _rate(day.engagements, day.impressions)


def _click_through(day: AdDay) -> tuple[float, float] | None:
    return _rate(day.clicks, day.impressions)


def _rate(count: int, impressions: int) -> tuple[float, float]:
    # One half is added, so that a day without an event has a logarithm. The noise is that of a Poisson count.
    return (count + 0.5) / impressions, 1 / math.sqrt(count + 0.5)


_FIGURES: Mapping[SignalName, tuple[_Figure, int]] = {
    "frequency": (_frequency, 1),
    "cpm": (_cpm, 1),
    "engagement": (_engagement, -1),
    "click-through": (_click_through, -1),
}
"""Each figure, and the sign of a change for the worse."""


def assess(days: Sequence[AdDay], day: date) -> Assessment:
    """Return how tired an ad is at the end of a day, from its figures up to that day.

    `days` may have gaps and any order; days after `day`, older than `LOOKBACK_DAYS`, or with too few impressions do not
    count. `watch`: one leading signal is on; `warning`: two; `critical`: all three, or two and the click-through rate
    falls, too. Without 13 usable days, or one in the last four days, the ad is not assessed.

        assess([AdDay(date(2026, 11, 1), 10_000, 120, 50.0, 6_200, 310), …], date(2026, 11, 20)).severity
    """
    oldest = day - timedelta(days=LOOKBACK_DAYS)
    usable = sorted(
        (each for each in days if oldest < each.day <= day and each.impressions >= _FEWEST_IMPRESSIONS),
        key=lambda each: each.day,
    )
    if not usable or usable[-1].day <= day - _RECENT:
        return Assessment("no_recent_days", "none", 0.0, (), len(usable))
    found = [_signal(name, usable, day) for name in _FIGURES]
    signals = tuple(signal for signal in found if signal is not None)
    if all(signal.name == "click-through" for signal in signals):
        return Assessment("too_few_days", "none", 0.0, signals, len(usable))
    leading = [signal for signal in signals if signal.name != "click-through"]
    falls = any(signal.on for signal in signals if signal.name == "click-through")
    score = sum(min(signal.evidence / 2, 1.0) for signal in leading) / len(leading)
    return Assessment("assessed", _severity(sum(each.on for each in leading), falls), score, signals, len(usable))


def _severity(leading: int, falls: bool) -> Severity:
    if leading == 3 or (leading == 2 and falls):
        return "critical"
    return ("none", "watch", "warning")[leading]


def _signal(name: SignalName, days: Sequence[AdDay], day: date) -> Signal | None:
    figure, sign = _FIGURES[name]
    # A change for the worse is a rise of the signed logarithm.
    points = without_weekends(
        [Point(each.day, sign * math.log(found[0]), found[1]) for each in days if (found := figure(each)) is not None]
    )
    if len(points) < _FEWEST_POINTS or points[-1].day <= day - _RECENT:
        return None
    reference = level(points[:_REFERENCE_DAYS])
    total = rise(points[_REFERENCE_DAYS:], reference, floor=_FLOOR, slack=_SLACK, limit=_LIMIT)
    trend = slope([point for point in points if point.day > day - _TREND])
    now = median(point.value for point in points[-_LEVEL_DAYS:])
    worse = trend >= _LEAST_SLOPE or now - reference[0] >= _LEAST_CHANGE
    return Signal(
        name,
        value=math.exp(sign * now),
        reference=math.exp(sign * reference[0]),
        change=math.expm1(sign * (now - reference[0])),
        slope=math.expm1(sign * trend),
        evidence=total / _ALARM,
        on=total >= _ALARM and worse,
    )
