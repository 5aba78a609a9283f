"""One websocket connection of the fake server."""

import asyncio
import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect


class FakeWebsocket:
    """Sends messages from a queue, and answers feature flags."""

    def __init__(self, connection: WebSocket) -> None:
        self._connection = connection
        self._outgoing: asyncio.Queue[str | int | None] = asyncio.Queue()

    def send(self, message: Any) -> None:
        """Queue a message."""
        # NaN and Infinity are written as bare tokens, as by the real server.
        self._outgoing.put_nowait(json.dumps(message))

    def disconnect(self, code: int | None) -> None:
        """Close the connection with a code; without one, drop it without a close frame."""
        self._outgoing.put_nowait(code)

    async def serve(self, max_upload: int) -> None:
        """Exchange messages until either side disconnects. `max_upload` is reported in the feature flags."""
        sending = asyncio.create_task(self._send_queued())
        receiving = asyncio.create_task(self._receive(max_upload))
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            receiving.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)

    async def _send_queued(self) -> None:
        while isinstance(message := await self._outgoing.get(), str):
            await self._connection.send_text(message)
        if message is None:
            self._connection.scope["state"]["transport"].abort()
        else:
            await self._connection.close(message)

    async def _receive(self, max_upload: int) -> None:
        try:
            while True:
                text = await self._connection.receive_text()
                if '"feature_flags"' in text:
                    flags = {"supports_preview_metadata": True, "max_upload_size": max_upload}
                    self.send({"type": "feature_flags", "data": flags})
        except WebSocketDisconnect:
            return
