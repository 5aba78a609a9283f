"""Websocket client of one ComfyUI server. Messages speed things up; HTTP responses decide.

Every connection uses its own client id. ComfyUI sends the messages of a client id to the newest connection only, and
when an older connection under the same id closes, it forgets the newest one too, which then stays open and silent.
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

_FEATURE_FLAGS = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
_RECONNECT_PAUSES = (0.2, 1.0, 3.0, 10.0)
"""Seconds between attempts to reconnect; the last one repeats."""
_CONNECTION_ERRORS = (OSError, TimeoutError, websockets.WebSocketException)

OnMessage = Callable[[str, Mapping[str, Any]], None]
"""Called with the type and the data of every message."""


def describe_refusal(error: Exception) -> str:
    """Return why a connection failed, for people."""
    if isinstance(error, websockets.InvalidStatus):
        return f"status {error.response.status_code}"
    return type(error).__name__


async def websocket_refusal(url: str, *, timeout: float) -> str | None:
    """Return why the websocket of the server at the HTTP address `url` cannot be reached; None if it can."""
    address = "ws" + url.removeprefix("http") + "/ws?" + urlencode({"clientId": f"callsheet-check-{uuid4().hex}"})
    try:
        async with connect(address, max_size=None, proxy=None, open_timeout=timeout, close_timeout=0.1):
            return None
    except _CONNECTION_ERRORS as error:
        return describe_refusal(error)


class WebsocketListener:
    """Receives the messages of a server while its context is open, and reconnects when the connection breaks."""

    def __init__(self, url: str, client_name: str, on_message: OnMessage, on_disconnect: Callable[[], None]) -> None:
        """Connect to the server at the HTTP address `url`; client ids start with `client_name`."""
        self._url = "ws" + url.removeprefix("http") + "/ws?"
        self._client_name = client_name
        self._on_message = on_message
        self._on_disconnect = on_disconnect
        self.client_id = self._new_client_id()
        """Submit prompts with this id: ComfyUI sends their messages to its connection only."""
        self.is_complete = False
        """Whether no message of a prompt submitted with `client_id` can have been missed so far."""
        self.refusal: str | None = None
        """Why the first connection failed; None if it did not."""

    def _new_client_id(self) -> str:
        return f"{self._client_name}-{uuid4().hex}"

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None, None]:
        """Connect before the block, and receive messages during it.

        Enter it before a prompt is submitted, since ComfyUI does not repeat messages. When the connection fails,
        the block runs all the same.
        """
        first: ClientConnection | None = None
        try:
            first = await self._connect(self.client_id)
        except _CONNECTION_ERRORS as error:
            self.refusal = describe_refusal(error)
        self.is_complete = first is not None
        task = asyncio.create_task(self._receive_forever(first))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _receive_forever(self, connection: ClientConnection | None) -> None:
        pauses = chain(_RECONNECT_PAUSES, repeat(_RECONNECT_PAUSES[-1]))
        while True:
            if connection is not None:
                await self._receive(connection)
                pauses = chain(_RECONNECT_PAUSES, repeat(_RECONNECT_PAUSES[-1]))
            self.is_complete = False
            self._on_disconnect()
            await asyncio.sleep(next(pauses))
            connection = None
            with suppress(*_CONNECTION_ERRORS):
                connection = await self._connect(self._new_client_id())

    async def _connect(self, client_id: str) -> ClientConnection:
        # Outputs and errors can be megabytes, so there is no size limit. After a prompt, ComfyUI's garbage collection
        # blocks all responses for up to seconds, so pings have a long timeout and closing has a short one.
        connection = await connect(
            self._url + urlencode({"clientId": client_id}),
            max_size=None,
            proxy=None,
            open_timeout=10,
            ping_timeout=60,
            close_timeout=0.1,
        )
        with suppress(*_CONNECTION_ERRORS):
            await connection.send(_FEATURE_FLAGS)
        return connection

    async def _receive(self, connection: ClientConnection) -> None:
        try:
            async for message in connection:
                if isinstance(message, str):
                    self._dispatch(message)
        except _CONNECTION_ERRORS as error:
            log.debug("ComfyUI websocket disconnected", url=self._url, error=type(error).__name__)
        finally:
            await connection.close()

    def _dispatch(self, text: str) -> None:
        message = read_object(text)
        data = message.get("data")
        if isinstance(message.get("type"), str) and isinstance(data, dict):
            self._on_message(message["type"], data)
