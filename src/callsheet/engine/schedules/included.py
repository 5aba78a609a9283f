"""Schedules that come with Callsheet. Each is skipped while there is nothing for it to do."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.plan import Plan, PlannedJob
from callsheet.domain.schedules import Missed, ScheduleSpec


@dataclass(frozen=True, slots=True)
class IncludedSchedule:
    """A schedule, and when it is needed."""

    spec: ScheduleSpec
    is_needed: Callable[[Connection], Awaitable[bool]] | None = None
    """None: always."""
    why_not: str = ""
    """The reason in the history when it is not needed."""


def _plan(name: str, operation: str) -> Plan:
    return Plan(name=name, jobs=[PlannedJob(id=operation, operation=operation)])


INCLUDED: Mapping[str, IncludedSchedule] = {
    "clean-up": IncludedSchedule(
        ScheduleSpec(
            description="Deletes executions that the retention rules no longer keep, and old temporary files",
            cron="0 2 * * *",
            task="clean-up",
        )
    ),
    "resource-watch": IncludedSchedule(
        ScheduleSpec(
            description="Thins the measurements of the machines of workers each minute, and sums up the newest ones",
            every="1m",
            task="resource-watch",
            missed=Missed.SKIP,
        )
    ),
    "fatigue-watch": IncludedSchedule(
        ScheduleSpec(
            description="Looks every 6 hours for ads that their audience is tired of",
            every="6h",
            execution_plan=_plan("Fatigue watch", "monitor-fatigue"),
        ),
        sql.has_ad_metrics,
        "there are no metrics of ads",
    ),
    "winners-index": IncludedSchedule(
        ScheduleSpec(
            description="Makes every 12 hours the vectors of winners again that another embedding model made",
            every="12h",
            execution_plan=_plan("Winners index", "index-winners"),
        ),
        sql.has_ad_winners,
        "there are no winners",
    ),
}
