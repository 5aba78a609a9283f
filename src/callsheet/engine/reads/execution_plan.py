"""Read the plan of an execution again, as it can be submitted: from its jobs, which keep their params as submitted."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.queues import priority_of
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import Operation

MOST_JOBS = 300
"""Jobs of a plan that is read again."""
_REFERENCE = re.compile(r"\$\{\s*([A-Za-z0-9_][A-Za-z0-9_-]*)")


async def plan_of_execution(database: Database, execution_id: UUID, catalog: Catalog) -> dict[str, Any] | None:
    """Return the plan of an execution as JSON, with the inputs of a stored plan inserted.

    None: it has more than `MOST_JOBS` jobs. Raises NotFound.
    """

    async def read(c: Connection) -> tuple[Any, list[Any]]:
        rows = await sql.executions_by_ids(c, ids=[execution_id])
        if not rows:
            raise NotFound(f"There is no execution {execution_id}.")
        return rows[0], await sql.planned_jobs(c, execution_id=execution_id, limit=MOST_JOBS + 1)

    execution, jobs = await database.retry(read, timeout=5)
    if len(jobs) > MOST_JOBS:
        return None
    plan: dict[str, Any] = {"name": execution["name"]} if execution["name"] else {}
    return {**plan, "jobs": [_job(row, catalog) for row in jobs]}


def _job(row: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """Return a job without what its operation and its references say anyway."""
    job: dict[str, Any] = {"id": row["job_id"], "operation": row["operation"], "params": orjson.loads(row["params"])}
    referred = set(_REFERENCE.findall(row["params"]))
    if others := [name for name in row["upstream"] if name not in referred]:
        job["dependsOn"] = others
    operation = catalog.get(row["operation"])
    if row["priority"] != _default_priority(operation, row["queue"]):
        job["priority"] = row["priority"]
    if operation is not None and row["max_attempts"] != operation.attempts:
        job["retries"] = row["max_attempts"] - 1
    if row["continue_on_failure"]:
        job["continueOnFailure"] = True
    return job


def _default_priority(operation: Operation | None, queue: str) -> int:
    return priority_of(queue) if operation is None or operation.priority is None else operation.priority
