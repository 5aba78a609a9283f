"""Run the plans of schedules that are due.

Every server does this. The row of a schedule is locked while one of them decides about a time, and the plan is
submitted with an idempotency key made of the name and the time: a server that dies in between has no effect, since the
next one gets the same execution.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.callers import KeyLimits
from callsheet.domain.errors import CallsheetError, DatabaseUnavailable, IdempotencyConflict, InvalidState, NotFound
from callsheet.domain.schedules import Overlap, RunOutcome, ScheduleSpec, ServerTask
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.owners import Owner
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.engine.jobs.stored_plans import get_plan
from callsheet.engine.jobs.submit import submit
from callsheet.engine.schedules.due_times import DueTime, choose_due_time, next_time
from callsheet.engine.schedules.included import INCLUDED
from callsheet.engine.schedules.store import read_spec
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings

log = structlog.get_logger(__name__)


class _Refused(Exception):
    """The plan cannot be submitted."""


@dataclass(frozen=True, slots=True)
class _Decision:
    outcome: RunOutcome
    reason: str | None = None
    execution_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class DueTask:
    """Work of the server itself whose time has come."""

    schedule: str
    due_at: datetime
    task: ServerTask


class ScheduleRunner:
    """Starts the plans of schedules."""

    def __init__(self, database: Database, catalog: Catalog, settings: Settings) -> None:
        self.due_tasks: list[DueTask] = []
        """Tasks whose time has come, for the caller to run."""
        self._database = database
        self._catalog = catalog
        self._settings = settings

    async def run_due(self) -> int:
        """Decide about all times that have come. Return the number of executions that were started."""
        started = 0
        for row in await self._database.retry(sql.due_schedules, timeout=5):
            try:
                async with self._database.transaction() as connection:
                    started += await self._decide(connection, row["name"])
            except DatabaseUnavailable:  # it is waited for
                raise
            except (CallsheetError, ValidationError) as error:
                # One schedule must not keep the others from running, nor end the server.
                log.error("a schedule could not be run, will retry", schedule=row["name"], exc_info=error)
                await self._database.retry(partial(sql.postpone_schedule, name=row["name"]), timeout=5)
        return started

    async def start_now(self, name: str, idempotency_key: str | None) -> UUID | None:
        """Run the plan of a schedule at once, whatever its times. Returns the id of the execution.

        A task becomes due instead, and None is returned.

        Raises NotFound, InvalidState if the API key of the schedule is gone, PlanRefused and BudgetExceeded.
        """
        # No connection is held during the submission: many requests at once would take all of them, and wait forever.
        row = await self._database.retry(partial(sql.read_schedule, name=name), timeout=5)
        if row is None:
            raise NotFound(f"There is no schedule '{name}'.")
        spec, now = read_spec(row), row["now"]
        if spec.task is not None:
            if row["paused_at"] is not None:
                raise InvalidState(f"The schedule '{name}' is paused. Resume it first.")
            become_due = partial(sql.set_schedule_due, name=name, due_at=now, start_at=now)
            await self._database.retry(become_due, timeout=5)
            return None
        try:
            execution_id = await self._submit(row, spec, idempotency_key)
        except _Refused as refused:
            raise InvalidState(str(refused)) from None
        started = _Decision(RunOutcome.STARTED, execution_id=execution_id)
        record = partial(_record, name=name, due_at=now, decision=started, is_manual=True)
        await self._database.retry(record, timeout=5)
        return execution_id

    async def _decide(self, connection: Connection, name: str) -> int:
        row = await sql.lock_due_schedule(connection, name=name)
        if row is None:  # another server decides
            return 0
        spec = read_spec(row)
        due = choose_due_time(spec, row["due_at"], row["start_at"], row["now"])
        decision = await self._start(connection, row, spec, due)
        if decision is None:  # it waits for an earlier execution
            return 0
        if due.first_missed is not None and due.first_missed != due.due_at:
            await _record(connection, name, due.first_missed, _missed(due))
        await _record(connection, name, due.due_at, decision)
        upcoming = next_time(name, spec, due.due_at)
        await sql.set_schedule_due(connection, name=name, due_at=upcoming.due_at, start_at=upcoming.start_at)
        _log(name, due.due_at, decision, is_task=spec.task is not None)
        return int(decision.outcome is RunOutcome.STARTED)

    async def _start(
        self, connection: Connection, row: Mapping[str, Any], spec: ScheduleSpec, due: DueTime
    ) -> _Decision | None:
        """Start a plan, and return what became of the time; None: it waits for an earlier execution."""
        if not due.starts:
            return _Decision(RunOutcome.MISSED, "no server ran at this time")
        name = row["name"]
        included = INCLUDED.get(name) if row["origin"] == "included" else None
        if included is not None and included.is_needed is not None and not await included.is_needed(connection):
            return _Decision(RunOutcome.SKIPPED, included.why_not)
        unfinished = [each["id"] for each in await sql.unfinished_schedule_runs(connection, name=name)]
        if unfinished and spec.overlap is Overlap.WAIT:
            return None
        if unfinished and spec.overlap is Overlap.SKIP:
            return _Decision(RunOutcome.SKIPPED, f"execution {unfinished[-1]} had not ended")
        if spec.task is not None:
            self.due_tasks.append(DueTask(name, due.due_at, spec.task))
            return _Decision(RunOutcome.STARTED)
        if spec.overlap is Overlap.CANCEL:
            await self._cancel(unfinished)
        try:
            key = f"schedule:{name}:{due.due_at.isoformat()}"
            execution_id = await self._submit(row, spec, key)
        except IdempotencyConflict:
            return _Decision(RunOutcome.STARTED, "it was started before the schedule was changed")
        except DatabaseUnavailable:  # it is waited for
            raise
        except (CallsheetError, _Refused) as error:
            return _Decision(RunOutcome.REFUSED, str(error))
        return _Decision(RunOutcome.STARTED, execution_id=execution_id)

    async def _cancel(self, execution_ids: list[UUID]) -> None:
        for execution_id in execution_ids:
            try:
                await cancel_execution(self._database, execution_id)
            except (InvalidState, NotFound):  # it has ended meanwhile, or was deleted
                continue

    async def _submit(self, row: Mapping[str, Any], spec: ScheduleSpec, idempotency_key: str | None) -> UUID:
        plan, version = spec.execution_plan, None
        if plan is None:
            assert spec.plan is not None  # noqa: S101 - a specification has a plan or a task
            stored = await get_plan(self._database, spec.plan, spec.version)
            plan, version = stored.plan, stored.version
        submitted = await submit(
            self._database,
            spec.submission(plan),
            self._catalog,
            max_jobs=self._settings.max_jobs_per_plan,
            idempotency_key=idempotency_key,
            run=PlanRun(inputs=spec.inputs, plan_name=spec.plan, plan_version=version, requested_version=spec.version),
            owner=await self._owner(row["api_key"]),
            monthly_budget=self._settings.monthly_budget,
        )
        return submitted.execution_id

    async def _owner(self, api_key: UUID | None) -> Owner | None:
        if api_key is None:
            return None
        key = await self._database.retry(partial(sql.limits_of_key, id=api_key), timeout=5)
        if key is None or not key["is_valid"]:
            name = "that it belongs to" if key is None else f"'{key['name']}' that it belongs to"
            raise _Refused(f"the API key {name} was revoked or has expired; store the schedule again with another key")
        budget = None if key["monthly_budget"] is None else Decimal(key["monthly_budget"])
        return Owner(api_key, KeyLimits(key["max_running"], budget), self._settings.max_running_executions)


async def record_task_result(database: Database, due: DueTask, result: str) -> None:
    """Store what a task has done in the history of its schedule."""
    await database.retry(
        lambda c: sql.set_schedule_run_reason(c, name=due.schedule, due_at=due.due_at, reason=result), timeout=60
    )


def _missed(due: DueTime) -> _Decision:
    times = "1 time" if due.missed == 1 else f"{due.missed:,} times"
    return _Decision(RunOutcome.MISSED, f"{times} from this one on passed while no server ran")


async def _record(
    connection: Connection, name: str, due_at: datetime, decision: _Decision, *, is_manual: bool = False
) -> None:
    await sql.insert_schedule_run(
        connection,
        name=name,
        due_at=due_at,
        outcome=decision.outcome,
        reason=decision.reason,
        is_manual=is_manual,
        execution_id=decision.execution_id,
    )


def _log(name: str, due_at: datetime, decision: _Decision, *, is_task: bool) -> None:
    # Tasks log what they have done; some run every minute.
    write = log.warning if decision.outcome is RunOutcome.REFUSED else log.debug if is_task else log.info
    write(
        f"a schedule was {decision.outcome}",
        schedule=name,
        due_at=due_at.isoformat(),
        execution_id=str(decision.execution_id) if decision.execution_id else None,
        reason=decision.reason,
    )
