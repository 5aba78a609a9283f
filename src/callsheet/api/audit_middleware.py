"""Writes an entry of the audit log for each request that changed something, or was not allowed to."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callsheet.access.audit import AuditWriter, Change
from callsheet.access.oidc_login import CALLBACK
from callsheet.api.route_access import MatchedRoute, is_writing

_LOGINS = frozenset({"log_in", "finish_oidc"})
"""Also attempts that failed are recorded."""


class AuditMiddleware:
    """Records who sent a writing request, what it did, and to what, before the response is sent.

    The entries of routes that only add executions or uploads are stored a moment later: what they add says itself when
    it was stored, and for which key.
    """

    def __init__(self, app: ASGIApp, *, writer: AuditWriter) -> None:
        self._app = app
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and record it."""
        if scope["type"] != "http" or not (is_writing(scope["method"]) or scope["path"] == CALLBACK):
            await self._app(scope, receive, send)
            return

        async def record_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._record(scope, message["status"], Headers(raw=message["headers"]).get("location"))
            await send(message)

        await self._app(scope, receive, record_and_send)

    async def _record(self, scope: Scope, status: int, location: str | None) -> None:
        route: MatchedRoute | None = scope.get("state", {}).get("route")
        change = _change_of(scope, route, status, location)
        if change is None or route is None:
            return
        if route.access.is_recorded_later:
            self._writer.record_later(change)
        else:
            await self._writer.record(change)


def _change_of(scope: Scope, route: MatchedRoute | None, status: int, location: str | None) -> Change | None:
    state = scope.get("state", {})
    if route is None or not route.access.is_audited or not _is_recorded(route, status):
        return None
    is_created = status in (201, 202) and location is not None
    client = scope.get("client")
    return Change(
        caller=state["caller"],
        action=route.name,
        target=str(location) if is_created else scope["path"],
        status=status,
        request_id=state.get("request_id"),
        address=client[0] if client else None,
    )


def _is_recorded(route: MatchedRoute, status: int) -> bool:
    """Return whether a response is one to a change, to an attempt without the right, or to a login."""
    return status < 400 or status == 403 or route.name in _LOGINS
