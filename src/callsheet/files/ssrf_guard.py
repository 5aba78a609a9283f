"""SSRF guard: an HTTP client that connects to public addresses only.

A host name is resolved once. All of its addresses are checked, and the connection goes to one of the checked
addresses, so that DNS rebinding has no effect. TLS certificates are still verified against the host name.
"""

import asyncio
import re
import socket
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore2
import httpx2

from callsheet.domain.errors import BadSource
from callsheet.http_clients import direct_client, tls_context
from callsheet.settings import Settings

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host, best first; raises OSError when there are none."""

_DENIED_NETWORKS = [
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
"""Networks that can lead to private addresses. Python patch releases differ in which of them are private."""

_ALLOWED_PORTS = frozenset({80, 443})
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_SUFFIXES = (".local", ".localhost", ".internal")
_CONNECT_TIMEOUT = 3.0
"""Seconds to connect to one address of a host that has several."""
_TIMEOUT = httpx2.Timeout(connect=10, read=30, write=30, pool=10)


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet. IPv4-mapped and tunnel addresses are unwrapped or denied.

    Raises ValueError for a text that is not an IP address.
    """
    ip: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_multicast or ip.is_reserved or not ip.is_global:
        return False
    return not any(ip in network for network in _DENIED_NETWORKS)


def is_public_host(host: str) -> bool:
    """Return whether a host can be reached from the internet, judged without a DNS lookup.

    An IP address must be public. A name must have a dot and no suffix reserved for local networks. Its last part must
    not be a number: system resolvers read `127.1` and `0x7f.1` as addresses.
    """
    name = unicodedata.normalize("NFKC", host).lower().rstrip(".")
    try:
        return is_public(name)
    except ValueError:
        last = name.rpartition(".")[2]
        return "." in name and not name.endswith(_LOCAL_SUFFIXES) and _NUMBER.fullmatch(last) is None


def guarded_client(
    settings: Settings,
    *,
    timeout: httpx2.Timeout | float = _TIMEOUT,
    resolve: Resolve | None = None,
    backend: httpcore2.AsyncNetworkBackend | None = None,
    max_connections: int = 100,
) -> httpx2.AsyncClient:
    """Return an HTTP client that connects to public addresses on ports 80 and 443 only.

    It never uses a proxy: a proxy would resolve the host name itself, and could connect to a private address. It does
    not follow redirects, so that the caller checks each hop. `settings.allow_private_addresses` disables the guard.
    A request to a blocked address raises BadSource. `resolve` and `backend` replace the system's resolver and sockets.
    A request beyond `max_connections` waits for a free connection.
    """
    guard = _GuardedBackend(
        backend or httpcore2.AnyIOBackend(),
        resolve or _system_resolve,
        allow_private=settings.allow_private_addresses,
    )
    return direct_client(transport=_GuardedTransport(guard, max_connections), timeout=timeout)


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, guard: httpcore2.AsyncNetworkBackend, max_connections: int) -> None:
        context = tls_context()
        super().__init__(verify=context, trust_env=False)
        if type(getattr(self, "_pool", None)) is not httpcore2.AsyncConnectionPool:
            raise RuntimeError(
                "this version of httpx2 has another connection pool: the SSRF guard would have no effect"
            )
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=max_connections,
            max_keepalive_connections=20,
            keepalive_expiry=5,
            network_backend=guard,
        )


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Network backend that connects to checked addresses only."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend, resolve: Resolve, *, allow_private: bool) -> None:
        self._backend = backend
        self._resolve = resolve
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first reachable address of the host. Raises BadSource if any of them is not allowed."""
        addresses = await self._resolve_all(host, port, timeout)
        self._reject_private(host, port, addresses)
        for address in addresses[:-1]:
            limit = _CONNECT_TIMEOUT if timeout is None else min(timeout, _CONNECT_TIMEOUT)
            try:
                return await self._backend.connect_tcp(address, port, limit, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _resolve_all(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the DNS lookup timed out") from None
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError("the host name is unknown") from None
        if not addresses:
            raise httpcore2.ConnectError("the host name has no address")
        return addresses

    def _reject_private(self, host: str, port: int, addresses: list[str]) -> None:
        if self._allow_private:
            return
        hint = "(set CALLSHEET_ALLOW_PRIVATE_ADDRESSES to allow it)"
        if port not in _ALLOWED_PORTS:
            raise BadSource(f"Port {port} of '{host}' is not allowed, only 80 and 443 are {hint}")
        if not all(is_public(address) for address in addresses):
            raise BadSource(f"'{host}' resolves to a private or local address, which is not allowed {hint}")


async def _system_resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
