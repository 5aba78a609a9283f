"""Who may come in: the API key, the console's session, and the rules against other sites in the same browser."""

import hmac
from collections.abc import Iterator
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

_OPEN = ("/health", "/healthz", "/readyz", "/login")
_OPEN_FOLDERS = ("/files/", "/static/", "/api/webhooks/job/")
"""Files are guarded by the signatures in their links, webhooks by the tokens in their addresses."""
_PROGRAMS = ("/api/", "/v1/")
"""Where programs come in: what their addresses do, no cookie alone may do."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class AuthMiddleware:
    """Lets a request through, or raises Unauthorized or Refusal."""

    def __init__(self, app: ASGIApp, settings: Settings, sessions: Sessions) -> None:
        self._app = app
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self._sessions = sessions
        self._public_host = urlsplit(settings.public_url or "").hostname

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "http":
            if _wants_login_page(scope) and self._key is not None and not self._knows(scope):
                target = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
                await RedirectResponse(f"/login?next={quote(target)}", 303)(scope, receive, send)
                return
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        if _is_open(scope["path"]):
            self._refuse_other_sites(scope)
        elif self._key is None:
            self._refuse_foreign_hosts(scope)
            self._refuse_other_sites(scope)
        elif not self._knows(scope):
            raise Unauthorized("A valid API key is needed; send it as `Authorization: Bearer …`.")
        elif self._bearer(scope) is None:
            self._refuse_other_sites(scope)

    def _knows(self, scope: Scope) -> bool:
        given = self._bearer(scope)
        if given is not None:
            return self._key is not None and hmac.compare_digest(given.encode(errors="replace"), self._key)
        # A cookie comes along by itself, so it opens the API for reading only; the console's forms have a token.
        may_write = not scope["path"].startswith(_PROGRAMS)
        return (may_write or scope["method"] in _SAFE) and any(map(self._sessions.holds, _cookies(scope)))

    def _bearer(self, scope: Scope) -> str | None:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def _refuse_foreign_hosts(self, scope: Scope) -> None:
        """A site whose name was made to lead to this machine still sends its own name."""
        host = urlsplit("//" + Headers(scope=scope).get("host", "")).hostname or ""
        if not is_loopback(host) and host != self._public_host:
            raise ApiError(
                403, "foreign_host", f"Without an API key only this machine is answered, not '{host[:100]}'."
            )

    def _refuse_other_sites(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "")
        same = origin is None or urlsplit(origin).netloc == headers.get("host") or self._is_public(origin)
        if scope["method"] not in _SAFE and (site == "cross-site" or not same):
            raise ApiError(403, "cross_site", "The request was made by a page of another site.")

    def _is_public(self, origin: str) -> bool:
        return self._public_host is not None and urlsplit(origin).hostname == self._public_host


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def _wants_login_page(scope: Scope) -> bool:
    """A person with a browser, on a page: shown the way in, where a program is told what is missing."""
    headers = Headers(scope=scope)
    page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    for_programs = _is_open(scope["path"]) or scope["path"].startswith(_PROGRAMS)
    return page and "authorization" not in headers and not for_programs


def _cookies(scope: Scope) -> Iterator[str]:
    for header in Headers(scope=scope).getlist("cookie"):
        value = cookie_parser(header).get(COOKIE)
        if value is not None:
            yield value
