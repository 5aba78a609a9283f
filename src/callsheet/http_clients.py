"""HTTP clients, and the proxies of the environment that they use.

Every HTTP client of Callsheet is created here, or by the SSRF guard. `proxy_for` is the only place that reads
HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. A proxy is never used for this machine.
"""

import os
import ssl
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.request import getproxies_environment

import httpx2

_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the environment."""

    variable: str
    """The environment variable that names it, such as HTTPS_PROXY."""
    url: str = field(repr=False)
    """Its URL, which may contain a password."""

    def __str__(self) -> str:
        """Describe the proxy without its password."""
        return f"proxy {self.url.rpartition('@')[2].rpartition('://')[2].rstrip('/')} of {self.variable}"


def proxy_for(url: httpx2.URL) -> Proxy | None:
    """Return the proxy of the environment for a URL; None for this machine, and for what NO_PROXY excludes."""
    proxies = getproxies_environment()
    value = proxies.get(url.scheme) or proxies.get("all")
    if not value or url.scheme not in _SCHEMES or is_this_machine(url.host) or _is_excluded(url, proxies.get("no", "")):
        return None
    variable = f"{url.scheme}_proxy" if proxies.get(url.scheme) else "all_proxy"
    name = variable if os.environ.get(variable) else variable.upper()
    return Proxy(name, value if "://" in value else f"http://{value}")


def is_this_machine(host: str) -> bool:
    """Return whether a host name or address leads to this machine, judged without a DNS lookup."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _is_excluded(url: httpx2.URL, no_proxy: str) -> bool:
    """Return whether NO_PROXY excludes a URL: by host, domain, address or network, each with or without a port."""
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    return any(_matches(entry.removesuffix(f":{port}"), url.host) or _matches(entry, url.host) for entry in entries)


def _matches(entry: str, host: str) -> bool:
    domain = entry.removeprefix("*").removeprefix(".")
    if entry == "*" or (domain and (host == domain or host.endswith(f".{domain}"))):
        return True
    try:
        return ip_address(host) in ip_network(entry.removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:  # one of them is a name
        return False


def describe_error(error: BaseException) -> str:
    """Return the name of an error of a request for messages, with the proxy that the request went through, if any."""
    try:
        proxy = proxy_for(error.request.url) if isinstance(error, httpx2.RequestError) else None
    except RuntimeError:  # the error belongs to no request
        proxy = None
    name = type(error).__name__
    return f"{error}" if isinstance(error, UnusableProxy) else f"{name}, through the {proxy}" if proxy else name


class UnusableProxy(httpx2.ProxyError):
    """The proxy variable of the environment cannot be used. Nothing was sent."""


@cache
def tls_context() -> ssl.SSLContext:
    """Return the shared TLS context. Loading CA certificates is slow, so it is cached."""
    return httpx2.create_ssl_context()


def user_agent() -> str:
    """Return the value of the header User-Agent."""
    return f"callsheet/{version('callsheet')}"


def async_client(*, limits: httpx2.Limits | None = None, **options: Any) -> httpx2.AsyncClient:
    """Return a client that uses the proxies of the environment. `options` are those of httpx2.AsyncClient.

    It does not follow redirects, unless the options say so.
    """
    return httpx2.AsyncClient(transport=_AsyncRoutes(limits), **_with_user_agent(options))


def direct_client(**options: Any) -> httpx2.AsyncClient:
    """Return a client that never uses a proxy. `options` are those of httpx2.AsyncClient."""
    if "transport" not in options:
        options["verify"] = tls_context()
    return httpx2.AsyncClient(trust_env=False, **_with_user_agent(options))


def direct_sync_client(**options: Any) -> httpx2.Client:
    """Return a blocking client that never uses a proxy. `options` are those of httpx2.Client."""
    return httpx2.Client(trust_env=False, verify=tls_context(), **_with_user_agent(options))


def sync_client(**options: Any) -> httpx2.Client:
    """Return a blocking client that uses the proxies of the environment. `options` are those of httpx2.Client."""
    return httpx2.Client(transport=_Routes(None), **_with_user_agent(options))


def _with_user_agent(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "headers": {"User-Agent": user_agent(), **options.get("headers", {})}}


def _transport_options(request: httpx2.Request, proxy: Proxy | None, limits: httpx2.Limits | None) -> dict[str, Any]:
    options: dict[str, Any] = {"verify": tls_context(), "trust_env": False}
    if limits is not None:
        options["limits"] = limits
    if proxy is not None:
        try:
            options["proxy"] = httpx2.Proxy(proxy.url)
        except (ValueError, httpx2.InvalidURL):
            options["proxy"] = None
        if options["proxy"] is None or not options["proxy"].url.host:
            message = f"{proxy.variable} is not the URL of a proxy: http://HOST:PORT, https://… or socks5://…"
            raise UnusableProxy(message, request=request)
    return options


class _AsyncRoutes(httpx2.AsyncBaseTransport):
    """Sends each request directly or through the proxy for its URL."""

    def __init__(self, limits: httpx2.Limits | None) -> None:
        self._limits = limits
        self._transports: dict[Proxy | None, httpx2.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = proxy_for(request.url)
        if proxy not in self._transports:
            options = _transport_options(request, proxy, self._limits)
            self._transports[proxy] = httpx2.AsyncHTTPTransport(**options)
        response = await self._transports[proxy].handle_async_request(request)
        return _from_server(request, response, proxy)

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


class _Routes(httpx2.BaseTransport):
    """The same for a blocking client."""

    def __init__(self, limits: httpx2.Limits | None) -> None:
        self._limits = limits
        self._transports: dict[Proxy | None, httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = proxy_for(request.url)
        if proxy not in self._transports:
            options = _transport_options(request, proxy, self._limits)
            self._transports[proxy] = httpx2.HTTPTransport(**options)
        return _from_server(request, self._transports[proxy].handle_request(request), proxy)

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


def _from_server(request: httpx2.Request, response: httpx2.Response, proxy: Proxy | None) -> httpx2.Response:
    """Return a response of the server. Raises UnusableProxy if the proxy requires a login: it forwarded nothing."""
    if proxy is not None and response.status_code == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED:
        raise UnusableProxy(f"the {proxy} requires a user and a password", request=request)
    return response
