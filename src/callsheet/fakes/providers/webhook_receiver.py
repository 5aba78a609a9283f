"""A server that records the webhooks it receives."""

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
    """One received webhook."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class WebhookReceiver:
    """All requests to `url`, whatever their method and path. Created by `open_webhook_receiver`."""

    url: str = ""
    webhooks: list[ReceivedWebhook] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def received(self, count: int = 1, *, timeout: float = 10) -> list[ReceivedWebhook]:
        """Wait for `count` webhooks and return all received ones. Raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while len(self.webhooks) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.webhooks


@asynccontextmanager
async def open_webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    """Start a receiver on this machine."""
    receiver = WebhookReceiver()

    async def record(request: Request) -> Response:
        receiver.webhooks.append(ReceivedWebhook(dict(request.headers), await request.body()))
        receiver._arrived.set()
        return Response("ok")

    routes = [Route("/{path:path}", record, methods=["GET", "POST", "PUT"])]
    async with serve_app(Starlette(routes=routes)) as base_url:
        receiver.url = f"{base_url}/"
        yield receiver
