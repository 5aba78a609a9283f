"""A Redis client that sends the commands of concurrent callers together."""

from typing import Any

from redis.asyncio import Redis

from callsheet.db.group_commit import GroupCommit
from callsheet.intake.redis_connection import UNAVAILABLE

_BLOCKING = frozenset({"BZPOPMIN", "XREADGROUP"})
"""Commands that can wait in the server. They are sent alone, on a connection of their own."""
_MAX_GROUP = 100
"""Commands of one round trip."""


class PipelinedRedis(Redis):
    """A client for many concurrent callers. A command is sent at once when the client is idle.

    Commands that arrive during a round trip share the next one, in their order. A slow round trip does not hold up the
    next one, which may then be executed first. Each caller gets its own reply or error. A caller that is cancelled
    during the round trip loses only its reply: the command is executed.
    """

    def __init__(self, **options: Any) -> None:
        """Create a client with the options of `redis.asyncio.Redis`."""
        super().__init__(**options)
        self._commands: GroupCommit[tuple[tuple[Any, ...], dict[str, Any]], Any] = GroupCommit(
            self._send, max_size=_MAX_GROUP
        )

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Execute a command and return its reply."""
        if args[0] in _BLOCKING:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        return await self._commands.write((args, options))

    async def _send(self, commands: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        async with self.pipeline(transaction=False) as pipeline:
            for args, options in commands:
                pipeline.execute_command(*args, **options)
            try:
                return await pipeline.execute(raise_on_error=False)
            except UNAVAILABLE as error:
                # Returned, not raised: commands of a lost connection are not tried again in smaller groups.
                return [error] * len(commands)
