"""The network between the parts of the deployment: one proxy for each link."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from tests.support.proxy import Proxy


class Links:
    """Named proxies: `database`, `storage`, `replicate`…"""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._proxies: dict[str, Proxy] = {}

    async def open(self, name: str, port: int) -> int:
        """Open a link to a local port; returns the port to connect to instead."""
        proxy = self._proxies[name] = await self._stack.enter_async_context(Proxy("127.0.0.1", port))
        return proxy.port

    async def open_url(self, name: str, url: str) -> str:
        """Open a link to a local server; returns the URL to use instead."""
        return f"http://127.0.0.1:{await self.open(name, urlsplit(url).port or 80)}"

    def lead(self, name: str, port: int) -> None:
        """Lead new connections of a link to another port. Open ones stay where they are."""
        self._proxies[name].target_port = port

    def cut(self, name: str) -> None:
        """Reset the open connections of a link."""
        self._proxies[name].cut()

    def forget(self, name: str) -> None:
        """Make the open connections half-open: both sides consider them open, and nothing arrives any more."""
        self._proxies[name].drop_silently()

    async def stall(self, name: str, seconds: float) -> None:
        """Hold all data of a link for some time. New connections are accepted, and get no response."""
        self._proxies[name].hold()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._proxies[name].release()

    async def close(self, name: str, seconds: float) -> None:
        """Reset all connections of a link, and close new ones, for some time."""
        self._proxies[name].accepting = False
        self._proxies[name].cut()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._proxies[name].accepting = True

    def heal(self) -> None:
        """Let every link work again. Half-open connections stay half-open: the product must notice them itself."""
        for proxy in self._proxies.values():
            proxy.accepting = True
            proxy.release()
