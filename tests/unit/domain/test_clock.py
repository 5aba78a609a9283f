"""Ids and times follow the clock of the database."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain import clock
from callsheet.domain.clock import follow_clock, shared_now
from callsheet.domain.ids import new_id

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def clock_of_this_machine(monkeypatch):
    monkeypatch.setattr(clock, "_reference", clock._Reference())


def follow(ahead):
    now = time.monotonic()
    follow_clock(datetime.now(UTC) + ahead, asked=now, responded=now)


def time_of(id):
    return datetime.fromtimestamp((id.int >> 80) / 1000, UTC)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_ids_and_times_are_those_of_the_database(ahead):
    follow(ahead)

    expected = datetime.now(UTC) + ahead
    assert abs(time_of(new_id()) - expected) < timedelta(minutes=1)
    assert abs(shared_now() - expected) < timedelta(minutes=1)


def test_a_change_of_the_own_clock_changes_nothing(monkeypatch):
    follow(timedelta(0))
    real, real_ns = time.time, time.time_ns

    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + 3600 * 10**9)

    assert abs(time_of(new_id()).timestamp() - real()) < 60


def test_ids_of_one_machine_stay_ordered_by_creation():
    follow(timedelta(milliseconds=200))

    ids = [new_id() for _ in range(100)]

    assert ids == sorted(ids)
