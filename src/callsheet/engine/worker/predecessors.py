"""The slots that earlier processes of a worker still use, while they end their jobs."""

from collections.abc import Sequence
from uuid import UUID

from callsheet.db.database import FOREVER, Database
from callsheet.db.statements import sql


class Predecessors:
    """Earlier processes of the same worker, which claim no more jobs.

    Their running jobs count towards the lanes of this process, so that both together run no more jobs than the lanes
    have slots: a GPU with one slot gets one job.
    """

    def __init__(self, database: Database, workers: Sequence[UUID]) -> None:
        self._database = database
        self._workers = list(workers)
        self._used: dict[str, int] = {}

    def slots_in_use(self, queue: str) -> int:
        """Return the number of slots of a lane that they use, as of the last `refresh`."""
        return self._used.get(queue, 0)

    async def refresh(self) -> set[str]:
        """Read which slots they use. Return the queues in which slots became free.

        Their number only falls, so when there are none left, there is nothing to read any more.
        """
        if not self._workers:
            return set()
        rows = await self._database.retry(lambda c: sql.slots_in_use(c, ids=self._workers), timeout=FOREVER)
        before, self._used = self._used, {row["queue"]: row["slots"] for row in rows}
        if not self._used:
            self._workers = []
        return {queue for queue, slots in before.items() if self.slots_in_use(queue) < slots}
