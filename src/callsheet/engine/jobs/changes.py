"""Collect the events and notifications of one transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.event_types import EventType
from callsheet.domain.events import JobScheduledData, ReasonData

_IDS_PER_PAYLOAD = 200
"""A NOTIFY payload is limited to 8,000 bytes."""
_MAX_NOTIFIED_IDS = 1000


@dataclass(slots=True)
class Changes:
    """The changes of one transaction, from which `record` writes events and sends notifications."""

    events: list[tuple[UUID, str | None, str, str | None, int, int, int]] = field(default_factory=list)
    ready_queues: set[str] = field(default_factory=set)
    """Queues with newly queued jobs."""
    freed_queues: set[str] = field(default_factory=set)
    """Queues in which a run ended, so that a limit may admit another one."""

    def add_status(
        self,
        row: Mapping[str, Any],
        status: str,
        data: Mapping[str, object] | None = None,
        *,
        counts_as_failure: bool = True,
    ) -> None:
        """Add the event of a job whose status changed to `status`. `data` is what `domain.events` says for it."""
        ended = status in ("succeeded", "failed", "cancelled", "skipped")
        self.events.append(
            (
                row["execution_id"],
                row["job_id"],
                f"job.{status}",
                orjson.dumps(data).decode() if data else None,
                int(ended),
                int(status == "failed" and counts_as_failure),
                int(status == "cancelled"),
            )
        )

    def add_queued(self, row: Mapping[str, Any], reason: str | None = None) -> None:
        """Add the event of a job that became queued, and notify its queue."""
        self.add_status(row, "queued", ReasonData(reason=reason) if reason else None)
        self.ready_queues.add(row["queue"])

    def add_ready(self, row: Mapping[str, Any], reason: str | None = None) -> None:
        """Add the event of a job that nothing holds back but, at most, a later start."""
        if row["status"] == "scheduled":
            delay = max(0.0, (row["scheduled_at"] - shared_now()).total_seconds())
            self.add_status(row, "scheduled", JobScheduledData(delay=delay, reason=reason or "start time"))
        else:
            self.add_queued(row, reason)

    def add_event(self, row: Mapping[str, Any], kind: EventType, data: Mapping[str, object]) -> None:
        """Add an event of a job whose status does not change. `data` is what `domain.events` says for it."""
        self.events.append((row["execution_id"], row["job_id"], kind, orjson.dumps(data).decode(), 0, 0, 0))

    def add_execution_status(self, execution_id: UUID, status: str, data: Mapping[str, object]) -> None:
        """Add the event of an execution whose status changed to `status`."""
        self.events.append((execution_id, None, f"execution.{status}", orjson.dumps(data).decode(), 0, 0, 0))

    async def record(self, connection: Connection) -> None:
        """Store the events, end executions without unfinished jobs, and send the notifications."""
        if not self.events:
            return
        columns = list(zip(*self.events, strict=True))
        await sql.record_events(
            connection,
            execution_ids=columns[0],
            job_ids=columns[1],
            types=columns[2],
            payloads=columns[3],
            ended=columns[4],
            failed=columns[5],
            cancelled=columns[6],
            ready_queues=list(self.ready_queues),
            freed_queues=list(self.freed_queues),
            event_notifications=event_notifications(columns[0]),
        )


def event_notifications(execution_ids: Iterable[UUID]) -> list[str]:
    """Return the NOTIFY payloads for the event streams of these executions; `*` means all, for very many."""
    ids = list({str(execution_id) for execution_id in execution_ids})
    if len(ids) > _MAX_NOTIFIED_IDS:
        return ["*"]
    return [",".join(ids[at : at + _IDS_PER_PAYLOAD]) for at in range(0, len(ids), _IDS_PER_PAYLOAD)]
