"""Schedules in a file of settings, and those that come with Callsheet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.schedules import Origin, ScheduleSpec
from callsheet.domain.stored_names import StoredName
from callsheet.domain.validation_problems import all_problems
from callsheet.domain.yaml_text import read_yaml
from callsheet.engine.schedules.included import INCLUDED
from callsheet.engine.schedules.store import put_schedule

log = structlog.get_logger(__name__)

_NAME: TypeAdapter[str] = TypeAdapter(StoredName)


@dataclass(frozen=True, slots=True)
class DefinedSchedule:
    """A schedule of a file."""

    spec: ScheduleSpec
    paused: bool | None = None
    """None: as clients left it."""


def read_schedules_file(path: Path) -> dict[str, DefinedSchedule]:
    """Return the schedules of a YAML file by name. Raises ConfigurationError with every problem."""
    try:
        data = read_yaml(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"The schedules file {path} cannot be read: {error.strerror}") from None
    except DocumentError as error:
        raise ConfigurationError(f"{path}: {error.located}") from None
    if not isinstance(data, Mapping | None):
        raise ConfigurationError(f"{path} must contain schedules by name, as in `morning-ad: {{cron: …, plan: …}}`")
    problems: list[str] = []
    found = {}
    for name, entry in (data or {}).items():
        try:
            _NAME.validate_python(name)
            found[name] = _schedule(entry)
        except ValidationError as error:
            problems += [f"{name}: {problem!r}" for problem in all_problems(error, ScheduleSpec, entry)]
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigurationError(f"{path} has {count}:\n  " + "\n  ".join(problems))
    return found


def _schedule(entry: Any) -> DefinedSchedule:
    paused = None
    if isinstance(entry, Mapping) and "paused" in entry:
        paused = TypeAdapter(bool).validate_python(entry["paused"])
        entry = {name: value for name, value in entry.items() if name != "paused"}
    return DefinedSchedule(ScheduleSpec.model_validate(entry), paused)


async def store_defined_schedules(database: Database, path: Path | None) -> None:
    """Store the schedules that come with Callsheet, and those of a file of settings; called when a server starts.

    An unchanged schedule keeps its next time. Schedules that were in the file before are deleted; without a file, none
    is. Raises ConfigurationError with every problem of the file.
    """
    defined = {} if path is None else read_schedules_file(path)

    async def store(connection: Connection) -> None:
        await sql.lock_schedules(connection)
        rows = {row["name"]: row for row in await sql.schedule_specs(connection)}
        for name, spec in INCLUDED.items():
            await _store(connection, rows, name, DefinedSchedule(spec.spec), "included", ("included",))
        for name, schedule in defined.items():
            await _store(connection, rows, name, schedule, "settings", ("settings", "included", "api"))
        if path is not None:
            gone = [name for name, row in rows.items() if row["origin"] == "settings" and name not in defined]
            await sql.delete_schedules(connection, names=gone)

    await database.retry(store, transaction=True)


async def _store(
    connection: Connection,
    rows: Mapping[str, Mapping[str, Any]],
    name: str,
    schedule: DefinedSchedule,
    origin: Origin,
    may_replace: tuple[Origin, ...],
) -> None:
    row = rows.get(name)
    if row is not None and row["origin"] == origin and _is_unchanged(row, schedule):
        return
    if row is not None and row["origin"] not in may_replace:
        return
    await put_schedule(
        connection,
        name,
        schedule.spec,
        origin=origin,
        may_replace=may_replace,
        paused=schedule.paused,
        created_by=str(origin),
    )
    if origin == "settings":
        log.info("a schedule was stored", schedule=name, origin=origin)


def _is_unchanged(row: Mapping[str, Any], schedule: DefinedSchedule) -> bool:
    same_state = schedule.paused is None or schedule.paused == (row["paused_at"] is not None)
    return same_state and ScheduleSpec.model_validate_json(row["spec"]) == schedule.spec
