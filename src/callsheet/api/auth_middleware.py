"""Authentication by API key or session cookie, the scopes of routes, and the rate limits of keys."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import islice
from urllib.parse import quote
from uuid import UUID

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from callsheet.access.directory import Directory
from callsheet.access.key_use import KeyUse
from callsheet.access.rate_limits import RateLimits
from callsheet.api.errors import ApiError
from callsheet.api.request_origin import SAFE_METHODS, RequestOrigin
from callsheet.api.route_access import MatchedRoute, RouteTable
from callsheet.api.stream_access import run_while_allowed
from callsheet.console.session import COOKIE, FormTokens
from callsheet.db.database import Database
from callsheet.domain.callers import ANONYMOUS, LOCAL, Caller
from callsheet.domain.errors import MissingScope, Unauthorized
from callsheet.settings import Settings

_STATIC = "/static/"
_HUBSPOT = "receive_hubspot_webhook"
"""Needs no key if the settings have a secret: its signature is checked instead."""
_METRICS = "read_metrics"
_API_PREFIXES = ("/api/", "/v1/")
"""API paths. Here a session cookie may read but not write (CSRF protection)."""
_MAX_COOKIES = 3
"""Session cookies of a request that are checked. A browser sends one."""
_KEY_NEEDED = "A valid API key is needed; send it as `Authorization: Bearer …`."


class AuthMiddleware:
    """Finds the caller and the route of each request, and passes the request on if the caller may use the route.

    `scope["state"]` has the `caller`, and the `route` unless there is none. Raises Unauthorized, MissingScope or
    ApiError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        database: Database,
        directory: Directory,
        form_tokens: FormTokens,
        routes: RouteTable,
    ) -> None:
        self._app = app
        self._directory = directory
        self._form_tokens = form_tokens
        self._has_open_metrics = settings.metrics_open
        self._routes = routes
        self._origin = RequestOrigin(settings.public_url)
        self._has_hubspot_secret = settings.hubspot_client_secret is not None
        self._rate_limits = RateLimits()
        self._key_use = KeyUse(database)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect a person without a session to the login page; check every other request and pass it on."""
        if scope["type"] == "http":
            route = self._routes.find(scope["method"], scope["path"])
            try:
                caller = await self._authenticate(scope, route)
            except Unauthorized:
                if not _is_page_request(scope):
                    raise
                target = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
                await RedirectResponse(f"/login?next={quote(target)}", 303)(scope, receive, send)
                return
            scope.setdefault("state", {}).update(caller=caller, route=route)
            if route is not None:
                _authorize(caller, route)
                if scope["method"] == "GET" and caller is not ANONYMOUS:
                    has_access = partial(self._still_has_access, scope, route)
                    await run_while_allowed(self._app, scope, receive, send, has_access)
                    return
        await self._app(scope, receive, send)

    async def _still_has_access(self, scope: Scope, route: MatchedRoute) -> bool:
        """Return whether the caller of an open event stream still has access."""
        await self._directory.refresh()
        try:
            _authorize(self._find_caller(scope), route)
        except (Unauthorized, MissingScope):
            return False
        return True

    def _find_caller(self, scope: Scope) -> Caller:
        if self._directory.is_open():
            return LOCAL
        token = _bearer_token(scope)
        return self._caller_of_session(scope) if token is None else self._directory.find_token(token)

    async def _authenticate(self, scope: Scope, route: MatchedRoute | None) -> Caller:
        if self._is_open(scope, route):
            self._origin.reject_cross_site(scope)
            return ANONYMOUS
        await self._directory.refresh()
        if self._directory.is_open():
            self._origin.reject_foreign_host(scope)
            self._origin.reject_cross_site(scope)
            return LOCAL
        if (token := _bearer_token(scope)) is not None:
            return self._caller_of(token)
        caller = self._caller_of_session(scope)
        self._origin.reject_cross_site(scope)
        self._count_use_of_key(caller)
        return caller

    def _is_open(self, scope: Scope, route: MatchedRoute | None) -> bool:
        if route is None:
            return bool(scope["path"].startswith(_STATIC))
        return (
            route.access.is_open
            or (route.name == _HUBSPOT and self._has_hubspot_secret)
            or (route.name == _METRICS and self._has_open_metrics)
        )

    def _caller_of(self, token: str) -> Caller:
        caller = self._directory.find_token(token)
        self._count_use_of_key(caller)
        return caller

    def _count_use_of_key(self, caller: Caller) -> None:
        """Raise ApiError if a key, or a session of it, has sent too many requests."""
        if caller.key_id is None:
            return
        if caller.rate_limit is not None and (wait := self._rate_limits.take(caller.key_id, caller.rate_limit)):
            message = f"The API key '{caller.name}' may send {caller.rate_limit:,} requests per minute."
            raise ApiError(429, "rate_limited", message, retry_after=math.ceil(wait))
        self._key_use.record(caller.key_id)

    def _caller_of_session(self, scope: Scope) -> Caller:
        for cookie in islice(_session_cookies(scope), _MAX_COOKIES):
            caller = self._directory.find_session(cookie)
            if caller is not None and self._may_use_cookie(scope, cookie):
                return caller
        raise Unauthorized(_KEY_NEEDED)

    def _may_use_cookie(self, scope: Scope, cookie: str) -> bool:
        """Return whether a request is one that the console sends.

        A browser sends cookies by itself, also with requests that another site caused. So a cookie may only read the
        API, unless a header has the token of the forms. The forms themselves carry it as a field.
        """
        if not scope["path"].startswith(_API_PREFIXES) or scope["method"] in SAFE_METHODS:
            return True
        return self._form_tokens.is_valid(Headers(scope=scope).get("x-csrf-token", ""), cookie)


def _authorize(caller: Caller, route: MatchedRoute) -> None:
    access = route.access
    if access.is_open or caller is ANONYMOUS:
        return
    if caller.execution_id is not None and not (access.read_tokens and _names_execution(caller, route)):
        raise MissingScope("A read token gives access to its execution only.", scopes=access.scopes)
    if not caller.has_any(access.scopes):
        raise MissingScope.of(access.scopes)


def _names_execution(caller: Caller, route: MatchedRoute) -> bool:
    """Return whether the path names the execution of a read token, or none: then the route compares them."""
    given = route.path_params.get("execution_id")
    if given is None:
        return True
    try:
        return UUID(given) == caller.execution_id
    except ValueError:
        return False


def _bearer_token(scope: Scope) -> str | None:
    scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _is_page_request(scope: Scope) -> bool:
    """Return whether a browser requests a page. API clients get an error response instead."""
    if scope["method"] != "GET" or scope["path"].startswith(_API_PREFIXES):
        return False
    headers = Headers(scope=scope)
    return "text/html" in headers.get("accept", "") and "authorization" not in headers


def _session_cookies(scope: Scope) -> Iterator[str]:
    for header in Headers(scope=scope).getlist("cookie"):
        value = cookie_parser(header).get(COOKIE)
        if value is not None:
            yield value
