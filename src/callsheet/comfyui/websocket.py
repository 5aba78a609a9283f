"""A server's websocket: a hint that makes things fast, never the truth.

Every connection has a client id of its own. A second one under the same id makes the first deaf, and when the server
notices that the first is gone it forgets the second too, which then stays open and hears nothing for ever.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import structlog
import websockets
from websockets.asyncio.client import ClientConnection, connect

from callsheet.comfyui.parsing import read_object

log = structlog.get_logger(__name__)

_HELLO = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
_PAUSES = (0.2, 1.0, 3.0, 10.0)
_CLOSED = (OSError, TimeoutError, websockets.WebSocketException)

Hear = Callable[[str, Mapping[str, Any]], None]
"""Told the type and the data of every message."""


class WebsocketListener:
    """Hears a server for as long as the block runs, and connects again when the connection breaks."""

    def __init__(self, url: str, client_id: str, hear: Hear, on_break: Callable[[], None]) -> None:
        self._url = "ws" + url.removeprefix("http") + "/ws?"
        self._name = client_id
        self._hear = hear
        self._on_break = on_break
        self.client_id = self._fresh()
        """Give it along with a prompt: whoever connects under another hears nothing of that prompt."""
        self.whole = False
        """Whether everything about a prompt that was sent under `client_id` has been heard so far."""

    def _fresh(self) -> str:
        return f"{self._name}-{uuid4().hex}"

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None, None]:
        """Be connected before a prompt is sent: what was missed is not sent again. Without a connection, go on."""
        first: ClientConnection | None = None
        with suppress(*_CLOSED):
            first = await self._connect(self.client_id)
        self.whole = first is not None
        task = asyncio.create_task(self._stay(first))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _stay(self, connection: ClientConnection | None) -> None:
        pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
        while True:
            if connection is not None:
                await self._read(connection)
                pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
            self.whole = False
            self._on_break()
            await asyncio.sleep(next(pauses))
            connection = None
            with suppress(*_CLOSED):
                connection = await self._connect(self._fresh())

    async def _connect(self, client_id: str) -> ClientConnection:
        # Outputs and errors can be megabytes. After a job, the server collects its garbage and answers nothing for a
        # while: no ping, and no goodbye.
        connection = await connect(
            self._url + urlencode({"clientId": client_id}),
            max_size=None,
            proxy=None,
            open_timeout=10,
            ping_timeout=60,
            close_timeout=0.1,
        )
        with suppress(*_CLOSED):
            await connection.send(_HELLO)
        return connection

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for message in connection:
                if isinstance(message, str):
                    self._tell(message)
        except _CLOSED as error:
            log.debug("ComfyUI's websocket broke", url=self._url, error=type(error).__name__)
        finally:
            await connection.close()

    def _tell(self, message: str) -> None:
        read = read_object(message)
        data = read.get("data")
        if isinstance(read.get("type"), str) and isinstance(data, dict):
            self._hear(read["type"], data)
