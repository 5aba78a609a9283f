"""What Callsheet offers to an intake, from the runtime of its process."""

from uuid import UUID

from callsheet.domain.errors import InvalidState
from callsheet.domain.ids import new_id
from callsheet.engine.intake_messages import find_message_execution
from callsheet.engine.jobs.cancel import cancel_execution
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
