"""What Callsheet offers to an intake, from the runtime of its process."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from callsheet.domain.errors import InvalidState
from callsheet.domain.ids import new_id
from callsheet.domain.records import Execution
from callsheet.engine.intake_messages import find_attempt, find_message_execution
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.reads.executions import get_execution
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings
from callsheet.wiring import Runtime


class RuntimeContext:
    """The context of one intake process."""

    def __init__(self, runtime: Runtime, intake: str) -> None:
        self._runtime = runtime
        self._intake = intake
        self._id = new_id()

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

    async def execution(self, execution_id: UUID) -> Execution:
        """Return an execution with its jobs and artifacts."""
        database = self._runtime.database
        return await database.repeat(
            lambda: get_execution(database, execution_id, self._runtime.sign), timeout=float("inf")
        )

    async def attempt(self, source: str, message_id: str) -> str:
        """Return the attempt of a message whose source does not number them: that of the open one, or a new one."""
        return await find_attempt(self._runtime.database, self._intake, source, message_id)

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
