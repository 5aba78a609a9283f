"""The durable record of a job's prompts: their ids, and the servers they were sent to.

The id of a prompt is derived from the job, and its server is recorded before the prompt is sent. So a later run of
the job finds the prompt on that server instead of submitting it again.
"""

import hashlib
from collections.abc import Awaitable, Callable
from uuid import UUID

from pydantic import TypeAdapter

from callsheet.domain.errors import OutcomeUnknown
from callsheet.operation_api.contract import Context

_TEXT_OR_NONE: TypeAdapter[str | None] = TypeAdapter(str | None)


class PromptRecord:
    """Prompts of one job, numbered from 1. A new number is used only when the prompt before was certainly lost."""

    def __init__(self, job: Context) -> None:
        self._job = job

    def prompt_id(self, number: int) -> str:
        """Return the id of a prompt: the same in every run of the job, and unique among jobs and numbers."""
        digest = hashlib.sha256(f"{self._job.id} {number}".encode()).digest()
        return str(UUID(bytes=digest[:16], version=4))

    async def begin(self, number: int) -> bool:
        """Record that a prompt begins. Returns False when an earlier run has begun it."""
        is_new = False

        async def record() -> str:
            nonlocal is_new
            is_new = True
            return self.prompt_id(number)

        await self._once(f"prompt {number}", record)
        return is_new

    async def set_server(self, number: int, identity: str) -> None:
        """Record the server of a prompt. Call it before the prompt is sent."""
        await self._server(number, identity)

    async def get_server(self, number: int) -> str | None:
        """Return the server that a prompt was sent to.

        None when an earlier run ended before it sent the prompt. That is recorded, too, so it cannot change later.
        """
        return await self._server(number, None)

    async def _server(self, number: int, identity: str | None) -> str | None:
        async def record() -> str | None:
            return identity

        return await self._once(f"server {number}", record)

    async def _once(self, step: str, action: Callable[[], Awaitable[str | None]]) -> str | None:
        try:
            return await self._job.once(step, action, _TEXT_OR_NONE)
        except OutcomeUnknown:
            # The earlier run ended while it wrote this record, which is before it sent anything.
            return None
