"""LISTEN connection with keepalive pings and automatic reconnect."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from callsheet.db.address import DatabaseAddress
from callsheet.db.connect import connect
from callsheet.db.outage_log import OutageLog
from callsheet.db.outages import DATABASE_ERRORS

OnNotify = Callable[[str, str], None]
"""Called with channel and payload."""


class Listener:
    """Listens on channels, pings the connection and reconnects when it is dead.

    Calls `on_gap` after each (re)connect, because notifications sent in between are lost. The ping interval and the
    ping timeout are in seconds.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        channels: list[str],
        *,
        on_notify: OnNotify,
        on_gap: Callable[[], None],
        ping_interval: float = 5,
        ping_timeout: float = 5,
        application_name: str = "callsheet listener",
    ) -> None:
        self._address = address
        self._channels = channels
        self._on_notify = on_notify
        self._on_gap = on_gap
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._application_name = application_name
        self._outage = OutageLog()
        self.connected = asyncio.Event()
        self.backend_pid: int | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        delay = 0.05
        while True:
            try:
                await self._listen_until_disconnected()
                delay = 0.05
            except DATABASE_ERRORS as error:
                self._outage.failed("listen for notifications", error)
            finally:
                self.connected.clear()
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2)

    async def _listen_until_disconnected(self) -> None:
        connection = await connect(self._address, application_name=self._application_name)
        terminated = asyncio.Event()
        connection.add_termination_listener(lambda _: terminated.set())
        try:
            for channel in self._channels:
                await connection.add_listener(channel, self._on_notification)
            self.backend_pid = connection.get_server_pid()
            self._outage.succeeded()
            self.connected.set()
            self._on_gap()
            while not terminated.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(terminated.wait(), self._ping_interval)
                    break
                # A half-open TCP connection reports nothing by itself; the ping times out.
                await connection.execute("SELECT 1", timeout=self._ping_timeout)
        finally:
            connection.terminate()

    def _on_notification(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        self._on_notify(channel, str(payload))
