"""Warnings of high use: each begins once and ends once, however the use moves around its limit."""

from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain.resource_warnings import ResourceWarnings, WarningLimits

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


def watch(*levels, resource="memory", limit=90.0, margin=5.0, measurements=1):
    """Return what each measurement has begun (+) and ended (-), and the warnings at the end."""
    warnings = ResourceWarnings(WarningLimits({"memory": limit, "disk": limit}, margin, measurements))
    seen = []
    for number, level in enumerate(levels):
        percents = {} if level is None else {resource: level}
        changes = warnings.update(percents, START + number * timedelta(minutes=1))
        seen.append("+" * len(changes.began) + "-" * len(changes.ended))
    return seen, warnings.active


def test_a_warning_begins_once_and_ends_once_below_the_margin():
    seen, active = watch(80, 90, 95, 91, 86, 85, 84.9, 80)

    assert seen == ["", "+", "", "", "", "", "-", ""]
    assert active == []


def test_a_use_that_moves_around_the_limit_warns_once():
    seen, [warning] = watch(*[91, 89] * 20)

    assert seen.count("+") == 1 and "-" not in seen
    assert (warning.percent, warning.limit, warning.since) == (89, 90, START)


def test_a_warning_begins_only_after_some_measurements_in_a_row():
    seen, [warning] = watch(95, 95, 80, 95, 95, 95, 95, measurements=3)

    assert seen == ["", "", "", "", "", "+", ""]
    assert warning.since == START + timedelta(minutes=5)


def test_an_ended_warning_needs_the_measurements_in_a_row_again():
    seen, _ = watch(95, 95, 80, 95, 95, measurements=2)

    assert seen == ["", "+", "-", "", "+"]


def test_a_resource_that_is_gone_has_no_warning():
    seen, active = watch(95, None, resource="disk:scratch")

    assert (seen, active) == (["+", "-"], [])


@pytest.mark.parametrize(("limit", "level", "warns"), [(100.0, 100.0, False), (99.9, 100.0, True), (90.0, 90.0, True)])
def test_a_limit_of_100_never_warns(limit, level, warns):
    seen, _ = watch(level, limit=limit)

    assert (seen == ["+"]) is warns


def test_a_resource_without_a_limit_never_warns():
    seen, _ = watch(100, resource="gpu:0")

    assert seen == [""]


def test_resources_of_a_kind_share_its_limit_and_warn_on_their_own():
    warnings = ResourceWarnings(WarningLimits({"disk": 90.0}, 5.0, 1))

    began = warnings.update({"disk:data": 95.0, "disk:scratch": 20.0, "cpu": 99.0}, START).began
    later = warnings.update({"disk:data": 95.0, "disk:scratch": 91.0, "cpu": 99.0}, START).began

    assert [each.resource for each in began] == ["disk:data"]
    assert [each.resource for each in later] == ["disk:scratch"]
    assert [each.resource for each in warnings.active] == ["disk:data", "disk:scratch"]
