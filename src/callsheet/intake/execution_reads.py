"""Reads executions for the reports of an intake, many by one query."""

from uuid import UUID

from callsheet.db.group_commit import GroupCommit
from callsheet.domain.errors import NotFound
from callsheet.domain.records import Execution
from callsheet.engine.reads.executions import get_executions
from callsheet.wiring import Runtime

_MAX_READ = 200
"""Jobs of executions that are read at the same time. A larger execution is read alone."""


class ExecutionReads:
    """Reads executions. Reads that are requested together share a query."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._groups: GroupCommit[UUID, Execution] = GroupCommit(self._read_group, max_size=_MAX_READ)

    async def read(self, execution_id: UUID, *, jobs: int = 1) -> Execution:
        """Return an execution with its jobs and artifacts. `jobs` is the number of its jobs. Raises NotFound."""
        return await self._groups.write(execution_id, size=jobs)

    async def _read_group(self, ids: list[UUID]) -> list[Execution | Exception]:
        database = self._runtime.database
        found = await database.repeat(lambda: get_executions(database, ids, self._runtime.sign), timeout=float("inf"))
        return [found.get(id) or NotFound(f"There is no execution {id}.") for id in ids]
