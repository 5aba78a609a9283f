"""Responses with pages, and dependencies that read forms."""

from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qs

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from callsheet.console.rendering import PAGE_HEADERS, render_template
from callsheet.console.session import COOKIE, FormToken, FormTokens
from callsheet.console.sse import SSE_HEADERS, sse_stream
from callsheet.domain.callers import Caller
from callsheet.domain.errors import BadInput, Unauthorized
from callsheet.domain.scopes import Scope
from callsheet.wiring import Runtime

_MAX_FIELDS = 200


class _Access(Protocol):
    @property
    def scopes(self) -> AbstractSet[Scope]: ...

    @property
    def is_open(self) -> bool: ...


class _Route(Protocol):
    @property
    def access(self) -> _Access: ...


class _Routes(Protocol):
    def find(self, method: str, path: str) -> _Route | None: ...


def csrf_token(request: Request) -> FormToken:
    """Return the CSRF token of the forms that a request shows."""
    tokens: FormTokens = request.app.state.form_tokens
    return form_token(request, tokens.create(request.cookies.get(COOKIE)))


def form_token(request: Request, token: str) -> FormToken:
    """Return a token for forms that knows which forms the caller may send."""
    routes: _Routes = request.app.state.routes
    caller: Caller = request.state.caller

    def missing(path: str) -> list[str]:
        route = routes.find("POST", path.partition("?")[0])
        if route is None or route.access.is_open or caller.has_any(route.access.scopes):
            return []
        return sorted(route.access.scopes)

    return FormToken.create(token, missing)


def page_response(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return the response with the page of a template."""
    logged_in = COOKIE in request.cookies
    html = render_template(template, path=request.url.path, token=csrf_token(request), logged_in=logged_in, **context)
    return HTMLResponse(html, status, PAGE_HEADERS)


def stream_response(request: Request, messages: AsyncIterator[str]) -> Response:
    """Return the response with an event stream, which ends with the server."""
    body = sse_stream(messages, closing=request.app.state.closing)
    return StreamingResponse(body, headers=SSE_HEADERS, media_type="text/event-stream")


async def _form(request: Request) -> dict[str, str]:
    try:
        fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadInput(f"The form has more than {_MAX_FIELDS} fields.") from None
    return {name: values[-1] for name, values in fields.items()}


async def _checked_form(request: Request) -> dict[str, str]:
    form = await _form(request)
    check_token(request, form.get("token", ""))
    return form


def check_token(request: Request, token: str) -> None:
    """Raise Unauthorized for the token of a form that this server has not shown to this browser."""
    tokens: FormTokens = request.app.state.form_tokens
    if not tokens.is_valid(token, request.cookies.get(COOKIE)):
        raise Unauthorized("The form is expired or was not created by this server. Reload the page.")


async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


Form = Annotated[dict[str, str], Depends(_form)]
CheckedForm = Annotated[dict[str, str], Depends(_checked_form)]
RuntimeDep = Annotated[Runtime, Depends(_runtime)]
