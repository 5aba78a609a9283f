"""Read the intake processes."""

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.records import IntakeRecord

_TIMEOUT = 20.0
"""Seconds without a heartbeat after which a process counts as lost."""


async def list_intakes(database: Database) -> list[IntakeRecord]:
    """Return the intake processes of the last day, by name."""
    rows = await database.retry(lambda c: sql.list_intakes(c, timeout=_TIMEOUT), timeout=5)
    fields = [name for name in IntakeRecord.model_fields if name != "status"]
    return [
        IntakeRecord(**{name: row[name] for name in fields}, status="working" if row["alive"] else "lost")
        for row in rows
    ]
