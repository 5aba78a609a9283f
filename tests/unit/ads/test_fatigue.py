"""Fatigue: robust trends, what is assessed, the severity, and how early simulated ads are flagged."""

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.ads.fatigue import AdDay, assess
from callsheet.ads.trends import Point, rise, slope, without_weekends
from callsheet.testing.fatigue_series import REPORTED_SEEDS, TUNING_SEEDS, measure, series

FIRST = date(2026, 10, 1)


def day(number):
    return FIRST + timedelta(days=number)


LAST = day(29)


def ad(frequency=0.0, cpm=0.0, engagement=0.0, clicks=0.0):
    """30 days; in the last 14 days each figure gets worse by its part per day."""
    days = []
    for number in range(30):
        tired = max(0, number - 15)
        days.append(
            AdDay(
                day(number),
                10_000,
                clicks=round(200 * (1 - clicks) ** tired),
                spend=50 * (1 + cpm) ** tired,
                reach=round(8000 / (1 + frequency) ** tired),
                engagements=round(2000 * (1 - engagement) ** tired),
            )
        )
    return days


def signals(found):
    return {each.name: each for each in found.signals}


def test_the_slope_is_that_of_the_line_although_some_days_are_far_off():
    points = [Point(day(number), 0.5 * number) for number in range(14) if number not in (3, 4)]
    points[5] = points[5]._replace(value=1000)

    assert slope(points) == pytest.approx(0.5)
    assert slope(points[:1]) == 0


def test_the_weekend_effect_is_taken_out_and_the_trend_is_kept():
    plain = [Point(day(number), 0.1 * number) for number in range(28)]
    points = [each._replace(value=each.value + 2) if each.day.weekday() > 4 else each for each in plain]

    found = without_weekends(points)
    assert [each.value for each in found] == pytest.approx([each.value for each in plain], abs=0.11)
    assert without_weekends(points[:4]) == points[:4]


def test_one_wild_day_counts_at_most_the_limit_and_a_lasting_rise_adds_up():
    wild = [Point(day(0), 1000.0), *(Point(day(number), 0.0) for number in range(1, 3))]
    lasting = [Point(day(number), 2.0) for number in range(6)]

    assert rise(wild[:1], (0, 1), floor=0.1, slack=0.5, limit=3) == 2.5
    assert rise(wild, (0, 1), floor=0.1, slack=0.5, limit=3) == 1.5
    assert rise(lasting, (0, 1), floor=0.1, slack=0.5, limit=3) == 9


@pytest.mark.parametrize(
    ("change", "severity", "on"),
    [
        ({}, "none", set()),
        ({"frequency": 0.04}, "watch", {"frequency"}),
        ({"cpm": 0.04, "frequency": 0.04}, "warning", {"frequency", "cpm"}),
        ({"cpm": 0.04, "engagement": 0.04}, "warning", {"engagement", "cpm"}),
        ({"cpm": 0.04, "engagement": 0.04, "frequency": 0.04}, "critical", {"frequency", "cpm", "engagement"}),
        ({"cpm": 0.04, "frequency": 0.04, "clicks": 0.08}, "critical", {"frequency", "cpm", "click-through"}),
        ({"clicks": 0.08}, "none", {"click-through"}),
        ({"cpm": -0.04, "engagement": -0.04, "frequency": -0.04}, "none", set()),
    ],
)
def test_the_severity_follows_the_number_of_leading_figures_that_become_worse(change, severity, on):
    found = assess(ad(**change), LAST)

    assert (found.status, found.severity) == ("assessed", severity)
    assert {each.name for each in found.signals if each.on} == on


def test_a_signal_has_its_figures():
    found = assess(ad(frequency=0.04), LAST)

    frequency = signals(found)["frequency"]
    assert frequency.reference == pytest.approx(1.25)
    assert frequency.value == pytest.approx(1.25 * 1.04**13, rel=0.001)
    assert frequency.change == pytest.approx(1.04**13 - 1, rel=0.001)
    assert frequency.slope == pytest.approx(0.04, rel=0.01)
    assert found.score == pytest.approx(1 / 3)


def test_missing_days_and_days_with_hardly_an_impression_do_not_count():
    days = ad(frequency=0.04, cpm=0.04)
    holes = [each for number, each in enumerate(days) if number % 7 != 3]
    empty = [replace(each, impressions=0, clicks=0, spend=0.0, reach=0, engagements=0) for each in days[3::7]]

    assert assess(holes, LAST) == assess([*empty, *reversed(holes)], LAST)
    assert assess(holes, LAST).severity == "warning"


def test_without_reach_and_engagements_one_figure_is_left_and_two_can_warn():
    days = [replace(each, engagements=None) for each in ad(frequency=0.04, cpm=0.04)]
    only_cost = [replace(each, reach=None) for each in days]

    assert assess(days, LAST).severity == "warning"
    assert assess(only_cost, LAST).severity == "watch"
    assert signals(assess(only_cost, LAST)).keys() == {"cpm", "click-through"}
    assert assess([replace(each, spend=0.0) for each in only_cost], LAST).status == "too_few_days"


def test_too_few_days_and_old_days_are_not_assessed_and_later_days_do_not_count():
    days = ad(frequency=0.04, cpm=0.04)

    assert assess(days[:12], day(11)).status == "too_few_days"
    assert assess(days[:13], day(12)).status == "assessed"
    assert assess(days, LAST + timedelta(days=3)).status == "assessed"
    assert assess(days, LAST + timedelta(days=4)).status == "no_recent_days"
    assert assess([], LAST).status == "no_recent_days"
    assert assess(days, day(14)) == assess(days[:15], day(14))


counts = st.integers(0, 10**15)
any_day = st.builds(
    AdDay,
    st.integers(0, 45).map(day),
    counts,
    counts,
    st.floats(0, 1e15),
    st.none() | counts,
    st.none() | counts,
)


@pytest.mark.parametrize("least", [5e-324, 1e-300, 1e-6])
def test_a_spend_near_zero_is_no_figure_of_cost(least):
    days = [AdDay(day(i), 1000 + i, 1000, least if i < 20 else 1e15, 5, 5) for i in range(40)]

    found = assess(days, day(39))

    assert found.status == "assessed"
    assert all(math.isfinite(signal.change) for signal in found.signals)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_day, max_size=46, unique_by=lambda each: each.day))
def test_any_figures_are_assessed(days):
    found = assess(days, day(45))

    assert 0 <= found.score <= 1
    assert (found.severity == "none") or found.status == "assessed"


def test_simulated_ads_are_flagged_days_before_the_fall_and_healthy_ones_seldom():
    assert not set(TUNING_SEEDS) & set(REPORTED_SEEDS)
    assert series(1, tired=True) == series(1, tired=True)

    found = measure(REPORTED_SEEDS[:25])
    assert found.median_lead >= 2
    assert found.before_the_fall > 0.5
    assert found.false_alarms <= 0.05
