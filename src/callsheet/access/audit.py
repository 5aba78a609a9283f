"""The audit log: who changed what, when."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.group_commit import GroupCommit
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.callers import Caller, CallerKind
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model

log = structlog.get_logger(__name__)

_MAX_GROUP = 500
_MAX_TEXT = 500
"""Characters of a target."""


class AuditEntry(Model):
    """A change, and who made it."""

    id: UUID
    at: datetime
    caller_kind: CallerKind
    caller_id: UUID | None = Field(description="Id of the key or the user")
    caller_name: str
    session_id: UUID | None = Field(description="Session of the console")
    action: str = Field(description="Name of the route, or of the command", examples=["cancel_execution"])
    target: str = Field(description="Path of what was changed or created", examples=["/api/executions/019ab1f0-…"])
    status: int | None = Field(description="Status of the response; null: a command")
    request_id: str | None = Field(description="As in the header X-Request-ID")
    address: str | None = Field(description="Address of the client")


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is to be recorded."""

    caller: Caller
    action: str
    target: str
    status: int | None = None
    request_id: str | None = None
    address: str | None = None
    id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to list."""

    caller_id: UUID | None = None
    action: str | None = None
    target: str | None = None
    """First characters."""
    since: datetime | None = None


class AuditWriter:
    """Records changes, those that are made together in one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._group_commit: GroupCommit[Change, None] = GroupCommit(self._store, max_size=_MAX_GROUP)
        self._writing: set[asyncio.Task[None]] = set()

    async def record(self, change: Change) -> None:
        """Record a change that was made. Returns when it is stored; one that the database does not take is logged."""
        try:
            await self._group_commit.write(change)
        except TRANSIENT_ERRORS as error:
            log.error(
                "an audit entry was not stored",
                error=type(error).__name__,
                caller=f"{change.caller.kind} {change.caller.name} {change.caller.id or ''}".strip(),
                action=change.action,
                target=change.target,
                status=change.status,
                request_id=change.request_id,
            )

    def record_later(self, change: Change) -> None:
        """Record a change a moment later. A server that is killed loses the entries of its last moment."""
        task = asyncio.create_task(self.record(change), name="audit log")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def flush(self) -> None:
        """Wait until all changes are recorded."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _store(self, changes: list[Change]) -> list[None]:
        await self._database.retry(lambda c: record_changes(c, changes), timeout=10)
        return [None] * len(changes)


async def record_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """Store entries, in the transaction of the connection if it has one. It can be repeated."""
    await sql.insert_audit_entries(
        connection,
        ids=[each.id for each in changes],
        kinds=[each.caller.kind for each in changes],
        caller_ids=[each.caller.id for each in changes],
        names=[_storable(each.caller.name) for each in changes],
        sessions=[each.caller.session_id for each in changes],
        actions=[each.action for each in changes],
        targets=[_storable(each.target)[:_MAX_TEXT] for each in changes],
        statuses=[each.status for each in changes],
        request_ids=[each.request_id for each in changes],
        addresses=[each.address for each in changes],
    )


async def list_entries(
    database: Database, matching: AuditFilter, *, before: UUID | None, limit: int
) -> list[AuditEntry]:
    """Return one page of entries, newest first. `before` is the last id of the previous page."""
    rows: list[Any] = await database.retry(
        lambda c: sql.list_audit_entries(
            c,
            before=before,
            caller_id=matching.caller_id,
            action=matching.action,
            target=matching.target,
            since=matching.since,
            limit=limit,
        ),
        timeout=10,
    )
    return [AuditEntry(**row) for row in rows]


def _storable(text: str) -> str:
    """Return a text that PostgreSQL and UTF-8 can represent."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
