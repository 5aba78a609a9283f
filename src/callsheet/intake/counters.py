"""Counters and last error of an intake process, stored in the database for operators."""

import os
import platform
from dataclasses import dataclass, field
from uuid import UUID

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.json_storage import shown_text
from callsheet.logs import redact_secrets

HEARTBEAT_INTERVAL = 5.0
"""Seconds between two records."""
_MAX_ERROR = 500
"""Characters."""


@dataclass(slots=True)
class IntakeCounters:
    """What an intake process has done since its start."""

    id: UUID
    name: str
    sources: list[str] = field(default_factory=list)
    accepted: int = 0
    closed: int = 0
    rejected: int = 0
    backlog: int | None = None
    last_error: str | None = None

    def note_error(self, error: BaseException | str) -> None:
        """Remember the newest error, without secrets."""
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.last_error = shown_text(redact_secrets(text)[:_MAX_ERROR])

    async def record(self, database: Database) -> None:
        """Store the counters. This is also the heartbeat of the process."""
        await database.retry(
            lambda c: sql.record_intake(
                c,
                id=self.id,
                name=self.name,
                sources=self.sources,
                host=platform.node(),
                pid=os.getpid(),
                accepted=self.accepted,
                closed=self.closed,
                rejected=self.rejected,
                backlog=self.backlog,
                last_error=self.last_error,
            ),
            timeout=5,
        )

    async def remove(self, database: Database) -> None:
        """Remove the record at the end of the process."""
        await database.retry(lambda c: sql.remove_intake(c, id=self.id), timeout=5)
