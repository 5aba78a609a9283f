"""Lets messages that arrive within a moment go on together, so that one transaction stores many."""

import asyncio


class Arrivals:
    """A gate that opens at once when idle, and otherwise some time after it was opened last.

    await arrivals.gather()
    """

    def __init__(self, interval: float) -> None:
        """`interval` is the time in seconds between two openings."""
        self._interval = interval
        self._opened = float("-inf")
        self._gate: asyncio.Future[None] | None = None

    async def gather(self) -> None:
        """Wait for the next opening."""
        loop = asyncio.get_running_loop()
        if self._gate is None:
            self._gate = loop.create_future()
            loop.call_later(max(0.0, self._opened + self._interval - loop.time()), self._open)
        # Shared: the cancellation of one must not reach the others.
        await asyncio.shield(self._gate)

    def _open(self) -> None:
        assert self._gate is not None  # noqa: S101 - it opens what was closed
        self._opened = asyncio.get_running_loop().time()
        self._gate.set_result(None)
        self._gate = None
