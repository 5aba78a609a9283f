"""Read workers."""

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.records import WorkerRecord
from callsheet.domain.resources import Resources


async def list_workers(database: Database) -> list[WorkerRecord]:
    """Return all workers, live ones first."""
    rows = await database.retry(sql.list_workers, timeout=5)
    return [
        WorkerRecord(
            **{name: row[name] for name in ("id", "name", "host", "pid", "version", "operations", "running")},
            lanes=orjson.loads(row["lanes"]),
            configured_lanes=orjson.loads(row["configured_lanes"]),
            only_reserved=row["only_reserved"],
            started_at=row["started_at"],
            heartbeat_at=row["heartbeat_at"],
            status="lost" if row["lost_at"] else "stopping" if row["stopping"] else "working",
            resources=Resources.model_validate_json(row["resources"]) if row["resources"] else None,
        )
        for row in rows
    ]
