"""The monitoring server of a worker process: health, metrics, and a page with the queues."""

import base64
from html import escape
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from callsheet.access.directory import Directory
from callsheet.access.login import Login
from callsheet.api.bind_check import is_loopback
from callsheet.api.metrics import Metrics
from callsheet.api.request_middleware import RequestMiddleware
from callsheet.api.request_origin import RequestOrigin
from callsheet.console.rendering import PAGE_HEADERS
from callsheet.domain.errors import MissingScope, NotFound, Unauthorized
from callsheet.domain.scopes import Scope
from callsheet.engine.reads.queues import list_queues
from callsheet.wiring import Runtime

_BOARD = "/bull-board"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="callsheet monitor", charset="UTF-8"', "Cache-Control": "no-store"}
_LOGIN_NEEDED = "Log in as a user of the console, or send an API key as `Authorization: Bearer …`."


def monitor_app(runtime: Runtime) -> Starlette:
    """Return the application. `/health` is open; the rest needs a user of the console or a key with the scope `read`.

    Without any key, `/metrics` is open on a loopback address; with the setting METRICS_OPEN, it always is.
    """
    monitor = _Monitor(runtime)
    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/healthz", _health),
            Route("/metrics", monitor.metrics),
            Route("/", _to_board),
            Route(_BOARD, monitor.board),
        ],
        middleware=[Middleware(RequestMiddleware)],
    )


class _Monitor:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._metrics = Metrics(runtime)
        self._directory = Directory(runtime.database, runtime.settings, runtime.key)
        self._login = Login(runtime.database, self._directory, runtime.settings)
        self._origin = RequestOrigin(runtime.settings.public_url)

    async def metrics(self, request: Request) -> Response:
        if not self._runtime.settings.metrics_open and not await self._is_open(request):
            refusal = await self._refusal(request)
            if refusal is not None:
                return refusal
        body, kind = await self._metrics.scrape()
        return Response(body, headers={"Content-Type": kind})

    async def board(self, request: Request) -> Response:
        if self._runtime.settings.console_user is None and await self._is_open(request):
            raise NotFound("The page needs a login: set CALLSHEET_CONSOLE_USER and CALLSHEET_CONSOLE_PASSWORD.")
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        return HTMLResponse(await self._page(), headers=PAGE_HEADERS)

    async def _is_open(self, request: Request) -> bool:
        await self._directory.refresh()
        if not self._directory.is_open() or not is_loopback(self._runtime.settings.monitor_host):
            return False
        self._origin.reject_foreign_host(request.scope)
        return True

    async def _refusal(self, request: Request) -> Response | None:
        """Return the response to a caller who may not read; None: the caller may."""
        try:
            kind, _, value = request.headers.get("authorization", "").partition(" ")
            if kind.lower() == "bearer":
                await self._directory.refresh()
                caller = self._directory.find_key(value.strip())
            else:
                caller = await self._login.identify(*_basic(kind, value), address=_address(request))
            if not caller.has_any({Scope.READ}):
                raise MissingScope.of((Scope.READ,))
        except Unauthorized as error:
            return Response(error.message, 401, headers=_CHALLENGE, media_type="text/plain")
        return None

    async def _page(self) -> str:
        queues = await list_queues(self._runtime.database, self._runtime.catalog)
        rows = "".join(
            f"<tr><th scope=row>{escape(q.name)}</th><td>{q.queued}</td><td>{q.running}</td><td>{q.waiting}</td>"
            f"<td>{q.scheduled}</td><td>{q.slots}</td><td>{'paused' if q.paused else ''}</td></tr>"
            for q in queues
        )
        url = self._runtime.settings.public_url
        link = f"<p><a href='{escape(url)}'>Console</a></p>" if url else ""
        return (
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>Queues</title><h1>Queues</h1>{link}<table><thead><tr><th>Queue<th>Queued<th>Running<th>Waiting"
            f"<th>Scheduled<th>Slots<th>State</tr></thead><tbody>{rows}</tbody></table>"
            "<p><a href='/metrics'>Metrics</a>"
        )


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": version("callsheet")})


async def _to_board(_request: Request) -> Response:
    return RedirectResponse(_BOARD, 302)


def _basic(kind: str, value: str) -> tuple[str, str]:
    """Return the user and the password of a header. Raises Unauthorized."""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode() if kind.lower() == "basic" else ""
    except ValueError:  # not Base64, or not UTF-8
        text = ""
    user, colon, password = text.partition(":")
    if not colon:
        raise Unauthorized(_LOGIN_NEEDED)
    return user, password


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"
