"""One LISTEN connection that notices its own death."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import asyncpg
import structlog

from callsheet.db.database import TRANSIENT_ERRORS

log = structlog.get_logger(__name__)

Heard = Callable[[str, str], None]
"""Called with channel and payload."""


class Listener:
    """Listens on channels, pings the connection, and connects again when it is dead.

    After every gap, in which anything may have been missed, `on_gap` is called.
    """

    def __init__(
        self,
        dsn: str,
        channels: list[str],
        *,
        heard: Heard,
        on_gap: Callable[[], None],
        ping_interval: float = 5,
        ping_timeout: float = 5,
    ) -> None:
        self._dsn = dsn
        self._channels = channels
        self._heard = heard
        self._on_gap = on_gap
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self.connected = asyncio.Event()
        self.backend_pid: int | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        pause = 0.05
        while True:
            try:
                await self._listen_until_dead()
                pause = 0.05
            except TRANSIENT_ERRORS as error:
                log.warning("listening connection lost", error=type(error).__name__)
            finally:
                self.connected.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2)

    async def _listen_until_dead(self) -> None:
        connection = await asyncpg.connect(
            self._dsn, timeout=10, server_settings={"application_name": "callsheet listener"}
        )
        dead = asyncio.Event()
        connection.add_termination_listener(lambda _: dead.set())
        try:
            for channel in self._channels:
                await connection.add_listener(channel, self._on_notification)
            self.backend_pid = connection.get_server_pid()
            self.connected.set()
            self._on_gap()
            while not dead.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(dead.wait(), self._ping_interval)
                    break
                await connection.execute("SELECT 1", timeout=self._ping_timeout)
        finally:
            connection.terminate()

    def _on_notification(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        self._heard(channel, str(payload))
