"""What Callsheet offers to an intake, from the runtime of its process."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from uuid import UUID

from callsheet.db.group_commit import GroupCommit
from callsheet.domain.errors import InvalidState
from callsheet.domain.ids import new_id
from callsheet.domain.records import Execution
from callsheet.engine.intake_messages import find_attempts, find_message_execution
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.intake.execution_reads import ExecutionReads
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings
from callsheet.wiring import Runtime

_MAX_ATTEMPTS = 100
"""Messages whose attempts are looked up together."""


class RuntimeContext:
    """The context of one intake process."""

    def __init__(self, runtime: Runtime, intake: str, reads: ExecutionReads, room: Callable[[], int]) -> None:
        self._runtime = runtime
        self._room = room
        self._reads = reads
        self._intake = intake
        self._id = new_id()
        self._attempts: GroupCommit[tuple[str, str], str] = GroupCommit(self._find_attempts, max_size=_MAX_ATTEMPTS)

    @property
    def settings(self) -> Settings:
        """The settings of this installation."""
        return self._runtime.settings

    @property
    def owner(self) -> UUID:
        """Id of this intake process."""
        return self._id

    @property
    def catalog(self) -> Catalog:
        """The known operations."""
        return self._runtime.catalog

    @property
    def room(self) -> int:
        """Number of messages that can be handed on now without a wait, at least 1."""
        return max(1, self._room())

    async def execution(self, execution_id: UUID, *, jobs: int = 1) -> Execution:
        """Return an execution with its jobs and artifacts. `jobs` is roughly the number of its jobs."""
        return await self._reads.read(execution_id, jobs=jobs)

    async def attempt(self, source: str, message_id: str) -> str:
        """Return the attempt of a message whose source does not number them: that of the open one, or a new one."""
        return await self._attempts.write((source, message_id))

    async def _find_attempts(self, messages: list[tuple[str, str]]) -> list[str]:
        return await find_attempts(self._runtime.database, self._intake, messages)

    async def read_file(self, key: str) -> AsyncIterator[bytes]:
        """Yield the contents of a stored file."""
        async with aclosing(self._runtime.storage.stream(key)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def cancel(self, source: str, message_id: str) -> bool:
        """Cancel the execution of a message. Returns False for an unknown message or an ended execution."""
        database = self._runtime.database
        execution_id = await find_message_execution(database, self._intake, source, message_id)
        if execution_id is None:
            return False
        try:
            await cancel_execution(database, execution_id)
        except InvalidState:
            return False
        return True
