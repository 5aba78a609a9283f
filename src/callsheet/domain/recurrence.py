"""When a schedule is due: by a cron expression in a time zone, or by an interval."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from callsheet.domain.did_you_mean import did_you_mean

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_CRON_FORM = "minute, hour, day of the month, month and day of the week, such as `30 6 * * 1-5`, or @daily"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The times at which a schedule is due. One of `cron` and `every` is given.

    Cron expressions have the five fields of `cron(8)` of Debian, or are one of @hourly, @daily, @weekly, @monthly and
    @yearly. When clocks go forward, a time in the hour that does not exist is due right after it. When they go back, a
    time in the hour that comes twice is due once, the first time; expressions with `*` in the minute or the hour follow
    the clock, and are due in both.

    Intervals are counted from 1970-01-01 00:00 UTC, so that `6h` is due at 0, 6, 12 and 18 o'clock UTC.

        Recurrence(cron="0 2 * * *", time_zone="Europe/Berlin").after(datetime(2026, 3, 28, 12, tzinfo=UTC))
    """

    cron: str | None = None
    time_zone: str = "UTC"
    every: timedelta | None = None

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, in UTC. None: no time follows within 50 years."""
        return next(self.times_after(moment), None)

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after a moment, in UTC and in their order."""
        if self.every is not None:
            count = (moment - _EPOCH) // self.every
            while True:
                count += 1
                yield _EPOCH + count * self.every
        assert self.cron is not None  # noqa: S101 - one of the two is given
        for time in _cron_times(self.cron, moment.astimezone(ZoneInfo(self.time_zone))):
            yield time.astimezone(UTC)


def _cron_times(expression: str, start: datetime) -> CronSim:
    fields = _NAMED.get(expression.strip().lower(), expression)
    if len(fields.split()) != 5:
        raise CronSimError("Wrong number of fields")
    return CronSim(fields, start)


def _check_cron(expression: str) -> str:
    try:
        first = next(_cron_times(expression, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValueError(
            f"'{expression}' is not a cron expression ({str(error).lower()}): write {_CRON_FORM}"
        ) from None
    if first is None:
        raise ValueError(f"'{expression}' is never due")
    return " ".join(expression.split())


@lru_cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _check_time_zone(name: str) -> str:
    if name not in _time_zones():
        alike = [zone for zone in _time_zones() if zone[:2] == name[:2]]
        hint = did_you_mean(name, alike) or ". Write one such as 'Europe/Berlin' or 'UTC'"
        raise ValueError(f"'{name}' is not a time zone{hint}")
    return name


CronExpression = Annotated[
    str,
    AfterValidator(_check_cron),
    Field(max_length=200, description=f"Cron expression: {_CRON_FORM}", examples=["30 6 * * 1-5"]),
]
TimeZone = Annotated[
    str,
    AfterValidator(_check_time_zone),
    Field(max_length=100, description="Time zone of the cron expression", examples=["Europe/Berlin"]),
]
