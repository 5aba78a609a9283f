"""What a server does about a time that has come, after outages of any length."""

from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain.plan import Plan
from callsheet.domain.schedules import ScheduleSpec
from callsheet.engine.schedules.due_times import MAX_CATCH_UP, choose_due_time, next_time

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def spec(**fields):
    return ScheduleSpec(**{"cron": "*/5 * * * *", "execution_plan": Plan(jobs=[]), **fields})


def test_a_time_that_has_come_just_now_starts_the_plan():
    due = choose_due_time(spec(), AT, AT, AT + timedelta(seconds=2))

    assert (due.due_at, due.starts, due.missed) == (AT, True, 0)


@pytest.mark.parametrize(
    ("missed", "due_at", "starts", "count"),
    [
        ("once", AT + 60 * MINUTE, True, 12),
        ("skip", AT + 60 * MINUTE, False, 12),
        ("all", AT, True, 0),
    ],
)
def test_after_an_hour_without_a_server_the_policy_decides(missed, due_at, starts, count):
    due = choose_due_time(spec(missed=missed), AT, AT, AT + 62 * MINUTE)

    assert (due.due_at, due.starts, due.missed) == (due_at, starts, count)
    assert due.first_missed == (AT if count else None)


def test_skip_still_starts_the_time_that_has_come_just_now():
    due = choose_due_time(spec(missed="skip"), AT, AT, AT + 60 * MINUTE + timedelta(seconds=5))

    assert (due.due_at, due.starts, due.missed) == (AT + 60 * MINUTE, True, 12)


def test_a_single_late_time_is_missed_as_well():
    late = AT + 3 * MINUTE

    assert not choose_due_time(spec(missed="skip"), AT, AT, late).starts
    assert choose_due_time(spec(missed="once"), AT, AT, late).starts


def test_all_runs_at_most_the_last_hundred():
    due = choose_due_time(spec(missed="all"), AT, AT, AT + 5 * MINUTE * 499)

    assert due.missed == 400
    assert due.due_at == AT + 5 * MINUTE * 400
    assert (AT + 5 * MINUTE * 499 - due.due_at) / (5 * MINUTE) == MAX_CATCH_UP - 1


def test_a_month_of_missed_seconds_is_decided_quickly():
    due = choose_due_time(spec(cron=None, every="1s", missed="once"), AT, AT, AT + timedelta(days=31))

    assert due.due_at == AT + timedelta(days=31)
    assert due.starts


def test_jitter_delays_each_start_by_the_same_time_on_every_server():
    jittered = spec(jitter="2m")
    starts = [next_time("ad", jittered, AT + n * 5 * MINUTE) for n in range(50)]

    delays = [each.start_at - each.due_at for each in starts]
    assert starts == [next_time("ad", jittered, AT + n * 5 * MINUTE) for n in range(50)]
    assert all(timedelta(0) <= delay < 2 * MINUTE for delay in delays)
    assert max(delays) - min(delays) > MINUTE
    assert next_time("other", jittered, AT) != starts[0]
