"""Connections to public addresses only.

A name is resolved once; every address it has is checked, and one of those checked is the one that is dialled, so
that a second answer of the name server cannot lead elsewhere. Certificates are still checked against the name.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from importlib.metadata import version
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore2
import httpx2

from callsheet.domain.errors import BadSource
from callsheet.settings import Settings

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Names the addresses of a host, best first; raises OSError when there are none."""

_DENIED = [
    ip_network(text)
    for text in (
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fec0::/10",
        "100.64.0.0/10",
        "192.0.0.0/24",
    )
]
"""Ways to private addresses in disguise; which of them Python calls private differs between its patch releases."""

_PORTS = frozenset({80, 443})
_PATIENCE = 3.0
"""Seconds for one of several addresses of a host."""
_TIMEOUT = httpx2.Timeout(connect=10, read=30, write=30, pool=10)


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet, whatever disguise it comes in."""
    ip: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_multicast or ip.is_reserved or not ip.is_global:
        return False
    return not any(ip in network for network in _DENIED)


def guarded_client(
    settings: Settings,
    *,
    timeout: httpx2.Timeout | float = _TIMEOUT,
    resolve: Resolve | None = None,
    backend: httpcore2.AsyncNetworkBackend | None = None,
) -> httpx2.AsyncClient:
    """Return an HTTP client that connects to public addresses on ports 80 and 443 only, by no proxy.

    It follows no redirects: each hop is a new decision. Where `settings.allow_private_addresses` is set, it
    connects to anything. A refused address raises BadSource from the request. `resolve` and `dial` replace the
    system's name service and its sockets.
    """
    wire = backend or httpcore2.AnyIOBackend()
    guard = _Guard(wire, resolve or _by_system, open_to_all=settings.allow_private_addresses)
    return httpx2.AsyncClient(
        transport=_GuardedTransport(guard),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": f"callsheet/{version('callsheet')}"},
    )


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, guard: httpcore2.AsyncNetworkBackend) -> None:
        context = tls_context()
        super().__init__(verify=context, trust_env=False)
        if type(getattr(self, "_pool", None)) is not httpcore2.AsyncConnectionPool:
            raise RuntimeError("this version of httpx2 keeps its connections elsewhere: the guard would not hold")
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5,
            network_backend=guard,
        )


@cache
def tls_context() -> ssl.SSLContext:
    """Return what tells true servers; read once, since that takes longer than many a request."""
    return httpx2.create_ssl_context()


class _Guard(httpcore2.AsyncNetworkBackend):
    """Opens sockets for HTTP connections, to checked addresses."""

    def __init__(self, wire: httpcore2.AsyncNetworkBackend, resolve: Resolve, *, open_to_all: bool) -> None:
        self._wire = wire
        self._resolve = resolve
        self._open_to_all = open_to_all

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of the host that answers. Raises BadSource if one must not be dialled."""
        addresses = await self._addresses(host, port, timeout)
        self._refuse_private(host, port, addresses)
        for address in addresses[:-1]:
            patience = _PATIENCE if timeout is None else min(timeout, _PATIENCE)
            try:
                return await self._wire.connect_tcp(address, port, patience, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._wire.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the name service did not answer") from None
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError("the host name is not known") from None
        if not addresses:
            raise httpcore2.ConnectError("the host name has no address")
        return addresses

    def _refuse_private(self, host: str, port: int, addresses: list[str]) -> None:
        if self._open_to_all:
            return
        hint = "(CALLSHEET_ALLOW_PRIVATE_ADDRESSES lifts this)"
        if port not in _PORTS:
            raise BadSource(f"Port {port} of '{host}' must not be used, only 80 and 443 {hint}")
        if not all(is_public(address) for address in addresses):
            raise BadSource(f"'{host}' leads to a private or local address, which must not be used {hint}")


async def _by_system(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
