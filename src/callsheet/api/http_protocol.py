"""HTTP connections with limits of their number, in all and by address, and a time limit for the head of a request.

Uvicorn limits none of them: a client that sends half of a head holds a connection forever.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from callsheet.api.joined_writes import JoinedWrites
from callsheet.api.trusted_proxies import TrustedProxies

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/problem+json\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(slots=True)
class ConnectionLimits:
    """The limits of one server, and the connections that count."""

    max_connections: int
    max_per_address: int
    """Connections of one address that is no trusted proxy."""
    head_timeout: timedelta
    trusted: TrustedProxies
    by_address: Counter[str] = field(default_factory=Counter)
    """Open connections of each address that is no trusted proxy."""

    def opened(self, address: str | None) -> bool:
        """Count a connection; return whether its address may have it."""
        if address is None or address in self.trusted:
            return True
        self.by_address[address] += 1
        return self.by_address[address] <= self.max_per_address

    def closed(self, address: str | None) -> None:
        """Count a connection that `opened` has counted no longer."""
        if address is None or address in self.trusted:
            return
        self.by_address[address] -= 1
        if not self.by_address[address]:
            del self.by_address[address]


class LimitedProtocol(H11Protocol):
    """One connection."""

    def __init__(self, limits: ConnectionLimits, /, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._address: str | None = None
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a head; close the connection if there are too many."""
        super().connection_made(JoinedWrites(transport, self.loop))
        self._address = self.client[0] if self.client is not None else None
        has_room = self._limits.opened(self._address)
        if not has_room or len(self.connections) > self._limits.max_connections:
            self.transport.write(_BUSY)
            self.transport.close()
        else:
            self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._head_timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._limits.closed(self._address)
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.head_timeout.total_seconds(), self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
