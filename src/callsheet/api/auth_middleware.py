"""Authentication by API key or session cookie, and protection against cross-site requests (CSRF, DNS rebinding)."""

import hmac
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from callsheet.api.bind_check import is_loopback
from callsheet.api.errors import ApiError
from callsheet.console.session import COOKIE, Sessions
from callsheet.domain.errors import Unauthorized
from callsheet.settings import Settings

_PUBLIC_PATHS = ("/health", "/healthz", "/readyz", "/login")
_PUBLIC_PREFIXES = ("/files/", "/static/", "/api/webhooks/job/", "/api/webhooks/jobs/")
"""Paths without an API key. Signed URLs protect files, and tokens in the URL protect webhooks of providers."""
_API_PREFIXES = ("/api/", "/v1/")
"""API paths. Here a session cookie may read but not write (CSRF protection)."""
_MAX_COOKIES = 3
"""Session cookies of a request that are checked. A browser sends one."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class AuthMiddleware:
    """Passes authenticated requests on; raises Unauthorized or ApiError for others."""

    def __init__(self, app: ASGIApp, settings: Settings, sessions: Sessions) -> None:
        self._app = app
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self._sessions = sessions
        self._public_host = urlsplit(settings.public_url or "").hostname

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect a person without a session to the login page; check every other request and pass it on."""
        if scope["type"] == "http":
            if _is_page_request(scope) and self._key is not None and not await self._is_authenticated(scope):
                target = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
                await RedirectResponse(f"/login?next={quote(target)}", 303)(scope, receive, send)
                return
            await self._check(scope)
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        if is_public_path(scope["path"]):
            self._reject_cross_site(scope)
        elif self._key is None:
            self._reject_foreign_host(scope)
            self._reject_cross_site(scope)
        elif not await self._is_authenticated(scope):
            raise Unauthorized("A valid API key is needed; send it as `Authorization: Bearer …`.")
        elif self._bearer_token(scope) is None:
            self._reject_cross_site(scope)

    async def _is_authenticated(self, scope: Scope) -> bool:
        token = self._bearer_token(scope)
        if token is not None:
            return self._key is not None and hmac.compare_digest(token.encode(errors="replace"), self._key)
        # A browser sends cookies by itself, also with requests that another site caused. So a cookie may only read
        # the API. Forms of the console carry a CSRF token in addition.
        may_write = not scope["path"].startswith(_API_PREFIXES)
        if not may_write and scope["method"] not in _SAFE_METHODS:
            return False
        for cookie in islice(_session_cookies(scope), _MAX_COOKIES):
            if await self._sessions.is_active(cookie):
                return True
        return False

    def _bearer_token(self, scope: Scope) -> str | None:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def _reject_foreign_host(self, scope: Scope) -> None:
        """Protect a server without API key against DNS rebinding.

        A site that makes its own name resolve to this machine still sends that name in the Host header.
        """
        host, loopback = _host_name(Headers(scope=scope).get("host", ""))
        if not loopback and host != self._public_host:
            raise ApiError(
                403,
                "foreign_host",
                f"The Host header '{host[:100]}' is not allowed; without an API key, only this machine has access.",
            )

    def _reject_cross_site(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "")
        same = origin is None or origin.partition("://")[2] == headers.get("host") or self._is_public_origin(origin)
        if scope["method"] not in _SAFE_METHODS and (site == "cross-site" or not same):
            raise ApiError(403, "cross_site", "The request comes from a page of another site.")

    def _is_public_origin(self, origin: str) -> bool:
        return self._public_host is not None and _hostname(origin) == self._public_host


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as `[`
        return None


@lru_cache(256)
def _host_name(host_header: str) -> tuple[str, bool]:
    """Return the name in a Host header, and whether it is this machine. Cached: most requests have the same one."""
    host = _hostname("//" + host_header) or ""
    return host, is_loopback(host)


def is_public_path(path: str) -> bool:
    """Return whether a path needs no API key."""
    return path in _PUBLIC_PATHS or path.startswith(_PUBLIC_PREFIXES)


def _is_page_request(scope: Scope) -> bool:
    """Return whether a browser requests a page that needs a login. API clients get an error response instead."""
    if scope["method"] != "GET" or scope["path"].startswith(_API_PREFIXES) or is_public_path(scope["path"]):
        return False
    headers = Headers(scope=scope)
    return "text/html" in headers.get("accept", "") and "authorization" not in headers


def _session_cookies(scope: Scope) -> Iterator[str]:
    for header in Headers(scope=scope).getlist("cookie"):
        value = cookie_parser(header).get(COOKIE)
        if value is not None:
            yield value
