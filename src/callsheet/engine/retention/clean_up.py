"""Delete what the retention rules no longer keep, in batches so small that running jobs do not feel them."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import StorageRejected, StorageUnreachable
from callsheet.domain.ids import first_id_at, new_id
from callsheet.domain.model import Model
from callsheet.domain.retention import RetentionRules
from callsheet.domain.statuses import EXECUTION_ENDED, ExecutionStatus
from callsheet.engine.retention.delete import Deleted, delete_locked_executions, delete_objects, used_ids
from callsheet.files.storage import Storage

log = structlog.get_logger(__name__)

_BATCH = 100
"""Executions that one transaction deletes."""
_BATCH_JOBS = 1000
"""Their jobs. An execution is never divided."""
_PAUSE = 9.0
"""Pause after a transaction, as a multiple of the time that it took: the database has the rest for jobs."""


class CleanUp(Model):
    """What a clean-up deletes, or has deleted."""

    executions: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Rule:
    status: ExecutionStatus
    max_age: timedelta
    keys: list[UUID] | None
    """Ids of the API keys; None: all others."""
    other_keys: list[UUID]

    def values(self, now: datetime) -> dict[str, Any]:
        """Return the parameters of the statements that find its executions."""
        before = now - self.max_age
        return {
            "status": self.status,
            "before": before,
            "before_id": first_id_at(before),
            "keys": self.keys,
            "other_keys": self.other_keys,
        }


async def preview_clean_up(database: Database, rules: RetentionRules) -> CleanUp:
    """Return what a clean-up would delete now."""

    async def count(connection: Connection) -> CleanUp:
        used = await used_ids(connection)
        found = [
            await sql.count_expired_executions(connection, **rule.values(shared_now()), used=used)
            for rule in await _rules(connection, rules)
        ]
        return CleanUp(**{name: sum(row[name] for row in found) for name in CleanUp.model_fields})

    return await database.retry(count, timeout=60)


async def clean_up(database: Database, storage: Storage, rules: RetentionRules) -> CleanUp:
    """Delete the executions that the rules no longer keep, with their files.

    It never deletes what a client has asked to keep (`metadata.keep`), what is still to be reported or cancelled, and
    files that unfinished executions, schedules, stored plans or open approvals name. Several processes may call it at
    the same time: one of them deletes.
    """
    round_start = new_id()
    used = await database.retry(lambda c: used_ids(c), timeout=30)
    deleted = Deleted()
    for rule in await database.retry(lambda c: _rules(c, rules), timeout=5):
        deleted += await _delete_all(database, rule, used, round_start)
    await database.retry(sql.delete_empty_batches, timeout=30)
    try:
        await delete_objects(database, storage)
    except (StorageRejected, StorageUnreachable) as error:
        log.warning("files of deleted executions are still in the storage, will retry", error=error.message)
    if deleted.executions:
        log.info(
            "deleted old executions",
            executions=deleted.executions,
            jobs=deleted.jobs,
            files=deleted.files,
            bytes=deleted.bytes,
        )
    return CleanUp(executions=deleted.executions, files=deleted.files, bytes=deleted.bytes)


async def _delete_all(database: Database, rule: _Rule, used: list[UUID], round_start: UUID) -> Deleted:
    deleted, after = Deleted(), UUID(int=0)
    while True:
        began = time.monotonic()
        async with database.transaction() as connection:
            if not await sql.try_lock_clean_up(connection):
                return deleted
            # What was submitted since the start of this round may name further files.
            recent = await used_ids(connection, after=round_start)
            rows = await sql.lock_expired_executions(
                connection, **rule.values(shared_now()), used=[*used, *recent], after=after, limit=_BATCH
            )
            batch = list(_first(rows))
            if not batch:
                return deleted
            deleted += await delete_locked_executions(connection, batch)
            after = batch[-1]
        await asyncio.sleep((time.monotonic() - began) * _PAUSE)


def _first(rows: list[Mapping[str, Any]]) -> Iterator[UUID]:
    """Yield the first executions up to a number of jobs, but at least one."""
    jobs = 0
    for row in rows:
        jobs += row["job_count"]
        if jobs > _BATCH_JOBS and jobs > row["job_count"]:
            return
        yield row["id"]


async def _rules(connection: Connection, rules: RetentionRules) -> list[_Rule]:
    by_key: dict[str, list[UUID]] = {name: [] for name in rules.by_key}
    for row in await sql.keys_by_name(connection, names=list(by_key)):
        by_key[row["name"]].append(row["id"])
    all_keys = [key for keys in by_key.values() for key in keys]
    statuses = sorted(EXECUTION_ENDED)
    found = [
        _Rule(status, age, by_key[name], [])
        for name, age in rules.by_key.items()
        for status in statuses
        if age is not None and by_key[name]
    ]
    for status in statuses:
        age = rules.of_status(status)
        if age is not None:
            found.append(_Rule(status, age, None, all_keys))
    return found
