"""Schedules: stored, listed, paused, resumed and deleted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.schedules import Origin, Schedule, ScheduleRun, ScheduleSpec
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.engine.schedules.due_times import next_time

MAX_SCHEDULES = 1000


async def put_schedule(
    connection: Connection,
    name: str,
    spec: ScheduleSpec,
    *,
    origin: Origin = "api",
    may_replace: tuple[Origin, ...] = ("api", "included"),
    paused: bool | None = None,
    api_key: UUID | None = None,
    created_by: str,
) -> bool:
    """Store a schedule, or replace the one of this name. Its first time is the next one from now.

    `paused` None: a new schedule is active, and a replaced one stays as it is. `may_replace` are the origins of
    schedules that may be replaced. The caller has checked the plan. Returns whether it was stored, which it is not if
    the present one has another origin.
    """
    upcoming = next_time(name, spec, shared_now())
    row = await sql.put_schedule(
        connection,
        name=name,
        origin=origin,
        spec=spec_text(spec),
        due_at=upcoming.due_at,
        start_at=upcoming.start_at,
        paused=bool(paused),
        keep_paused=paused is None,
        api_key=api_key,
        created_by=created_by,
        may_replace=list(may_replace),
    )
    return row is not None


def spec_text(spec: ScheduleSpec) -> str:
    """Return a specification as JSON text. Raises PlanRefused for values that cannot be stored."""
    return validated_json(spec.model_dump(mode="json", exclude_unset=True), "")


async def store_schedule(
    database: Database, name: str, spec: ScheduleSpec, *, paused: bool | None, api_key: UUID | None, created_by: str
) -> Schedule:
    """Store a schedule on behalf of a client.

    Raises InvalidState if it is defined in a file of settings, or if there are too many.
    """

    async def store(connection: Connection) -> None:
        names = {row["name"] for row in await sql.schedule_names(connection)}
        if name not in names and len(names) >= MAX_SCHEDULES:
            raise InvalidState(f"There are {MAX_SCHEDULES:,} schedules, and no more are allowed. Delete one first.")
        if not await put_schedule(connection, name, spec, paused=paused, api_key=api_key, created_by=created_by):
            raise InvalidState(
                f"The schedule '{name}' is defined in the file that CALLSHEET_SCHEDULES_FILE names. Change it there."
            )

    await database.retry(store, timeout=10, transaction=True)
    return await get_schedule(database, name)


async def list_schedules(database: Database) -> list[Schedule]:
    """Return all schedules by name, each with its newest run."""
    rows = await database.retry(lambda c: sql.list_schedules(c, name=None), timeout=5)
    return [_schedule(row) for row in rows]


async def get_schedule(database: Database, name: str) -> Schedule:
    """Return a schedule. Raises NotFound."""
    rows = await database.retry(lambda c: sql.list_schedules(c, name=name), timeout=5)
    if not rows:
        names = [row["name"] for row in await database.retry(sql.schedule_names, timeout=5)]
        raise NotFound(f"There is no schedule '{name}'{did_you_mean(name, names) or '.'}")
    return _schedule(rows[0])


async def pause_schedule(database: Database, name: str) -> Schedule:
    """Start nothing until the schedule is resumed. Raises NotFound."""
    await get_schedule(database, name)
    await database.retry(lambda c: sql.pause_schedule(c, name=name), timeout=10)
    return await get_schedule(database, name)


async def resume_schedule(database: Database, name: str) -> Schedule:
    """Resume a schedule with its next time from now; those that passed in the pause are not missed. Raises NotFound."""

    async def resume(connection: Connection) -> None:
        row = await sql.lock_schedule(connection, name=name)
        if row is not None and row["paused_at"] is not None:
            upcoming = next_time(name, read_spec(row), row["now"])
            await sql.resume_schedule(connection, name=name, due_at=upcoming.due_at, start_at=upcoming.start_at)

    await database.retry(resume, timeout=10, transaction=True)
    return await get_schedule(database, name)


async def delete_schedule(database: Database, name: str) -> None:
    """Delete a schedule with its history. Its executions stay.

    Raises NotFound, and InvalidState for one that would come back, because it is not defined by clients.
    """
    schedule = await get_schedule(database, name)
    if schedule.origin != "api":
        where = "comes with Callsheet" if schedule.origin == "included" else "is defined in a file of settings"
        raise InvalidState(f"The schedule '{name}' {where}, and cannot be deleted. Pause it instead.")
    await database.retry(lambda c: sql.delete_schedules(c, names=[name]), timeout=10)


async def list_runs(database: Database, name: str, *, before: datetime | None, limit: int) -> list[ScheduleRun]:
    """Return a page of the history of a schedule, newest first. Raises NotFound."""
    await get_schedule(database, name)
    rows = await database.retry(lambda c: sql.list_schedule_runs(c, name=name, before=before, limit=limit), timeout=5)
    return [_run(row) for row in rows]


def read_spec(row: Mapping[str, Any]) -> ScheduleSpec:
    """Return the stored specification of a row."""
    return ScheduleSpec.model_validate(orjson.loads(row["spec"]))


def _schedule(row: Mapping[str, Any]) -> Schedule:
    is_active = row["paused_at"] is None
    return Schedule(
        **dict(read_spec(row)),
        name=row["name"],
        origin=row["origin"],
        paused_at=row["paused_at"],
        next_due_at=row["due_at"] if is_active else None,
        next_start_at=row["start_at"] if is_active else None,
        last_run=None if row["run_due_at"] is None else _run(row),
        created_at=row["created_at"],
        created_by=row["created_by"],
        updated_at=row["updated_at"],
    )


def _run(row: Mapping[str, Any]) -> ScheduleRun:
    return ScheduleRun(
        due_at=row["run_due_at"],
        decided_at=row["decided_at"],
        outcome=row["outcome"],
        reason=row["reason"],
        is_manual=row["is_manual"],
        execution_id=row["execution_id"],
        execution_status=row["execution_status"],
    )
