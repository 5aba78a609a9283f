"""An address that keeps what it is told, as the receiver of webhooks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callsheet.fakes.providers.server import serve_app


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """One call."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class WebhookReceiver:
    """Every call that came to `url`, whatever its method and path. Made by `open_mailbox`."""

    url: str = ""
    webhooks: list[ReceivedWebhook] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def received(self, count: int = 1, *, timeout: float = 10) -> list[ReceivedWebhook]:
        """Wait until so many calls have come, and return all."""
        async with asyncio.timeout(timeout):
            while len(self.webhooks) < count:
                self._came.clear()
                await self._came.wait()
        return self.webhooks


@asynccontextmanager
async def open_webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    """Open an address on this machine until the block ends."""
    box = WebhookReceiver()

    async def keep(request: Request) -> Response:
        box.webhooks.append(ReceivedWebhook(dict(request.headers), await request.body()))
        box._came.set()
        return Response("ok")

    async with serve_app(Starlette(routes=[Route("/{path:path}", keep, methods=["GET", "POST", "PUT"])])) as base:
        box.url = f"{base}/"
        yield box
