"""Times of schedules: cron expressions in time zones, and intervals."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from pydantic import TypeAdapter, ValidationError

from callsheet.domain.durations import Duration, duration_text
from callsheet.domain.recurrence import CronExpression, Recurrence, TimeZone


def local_times(recurrence, start, count):
    return [time.isoformat(timespec="minutes") for time in islice(recurrence.times_after(start), count)]


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        # Clocks go forward on 29 March 2026 from 02:00 to 03:00: 02:30 does not exist. UTC times.
        ("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=UTC), ["2026-03-29T01:00+00:00", "2026-03-30T00:30+00:00"]),
        # Clocks go back on 25 October 2026 from 03:00 to 02:00: 02:30 comes twice, and is due once.
        ("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), ["2026-10-25T00:30+00:00", "2026-10-26T01:30+00:00"]),
        # Every half hour follows the clock through both hours.
        (
            "*/30 * * * *",
            datetime(2026, 10, 24, 23, 45, tzinfo=UTC),
            ["2026-10-25T00:00+00:00", "2026-10-25T00:30+00:00", "2026-10-25T01:00+00:00", "2026-10-25T01:30+00:00"],
        ),
        # In winter and in summer at the same local time.
        ("0 6 * * 1", datetime(2026, 3, 22, tzinfo=UTC), ["2026-03-23T05:00+00:00", "2026-03-30T04:00+00:00"]),
        ("0 0 29 2 *", datetime(2026, 1, 1, tzinfo=UTC), ["2028-02-28T23:00+00:00"]),
    ],
)
def test_cron_expressions_follow_the_clock_of_their_time_zone(cron, start, expected):
    assert local_times(Recurrence(cron=cron, time_zone="Europe/Berlin"), start, len(expected)) == expected


def test_a_time_is_never_its_own_successor():
    recurrence = Recurrence(cron="*/5 * * * *")
    at = datetime(2026, 5, 1, 10, 5, tzinfo=UTC)

    assert recurrence.after(at) == at + timedelta(minutes=5)
    assert recurrence.after(at - timedelta(microseconds=1)) == at


def test_intervals_do_not_depend_on_when_the_schedule_was_stored():
    every = Recurrence(every=timedelta(hours=6))

    assert every.after(datetime(2026, 5, 1, 1, 2, 3, tzinfo=UTC)) == datetime(2026, 5, 1, 6, tzinfo=UTC)
    assert every.after(datetime(2026, 5, 1, 6, tzinfo=UTC)) == datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@DAILY"])
def test_usual_names_are_accepted(name):
    assert TypeAdapter(CronExpression).validate_python(name) == name
    assert Recurrence(cron=name).after(datetime(2026, 5, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "* * * * * *", "61 * * * *", "a b c d e", "0 0 30 2 *", "@reboot", "*/0 * * * *"]
)
def test_an_invalid_expression_is_refused_with_its_form(expression):
    with pytest.raises(ValidationError, match=r"is not a cron expression.*minute, hour, day of the month"):
        TypeAdapter(CronExpression).validate_python(expression)


def test_a_misspelt_time_zone_is_refused_with_a_hint():
    with pytest.raises(ValidationError, match="'Europe/Berln' is not a time zone, did you mean 'Europe/Berlin'"):
        TypeAdapter(TimeZone).validate_python("Europe/Berln")


@pytest.mark.parametrize(
    ("seconds", "text"), [(21600, "6h"), (90, "90s"), (86400, "1d"), (300, "5m"), (1.5, "1.5s"), (0.25, "0.25s")]
)
def test_durations_are_shown_as_people_write_them(seconds, text):
    assert duration_text(timedelta(seconds=seconds)) == text
    assert TypeAdapter(Duration).validate_python(text) == timedelta(seconds=seconds)
