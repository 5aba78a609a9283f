"""Responses with pages, and dependencies that read forms."""

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from callsheet.console.rendering import PAGE_HEADERS, render_template
from callsheet.console.session import COOKIE, Sessions
from callsheet.domain.errors import BadInput, Unauthorized
from callsheet.wiring import Runtime

_MAX_FIELDS = 50


def page_response(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return the response with the page of a template."""
    sessions: Sessions = request.app.state.sessions
    cookie = request.cookies.get(COOKIE)
    html = render_template(template, token=sessions.csrf_token(cookie), logged_in=cookie is not None, **context)
    return HTMLResponse(html, status, PAGE_HEADERS)


async def _form(request: Request) -> dict[str, str]:
    try:
        fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadInput(f"The form has more than {_MAX_FIELDS} fields.") from None
    return {name: values[-1] for name, values in fields.items()}


async def _checked_form(request: Request) -> dict[str, str]:
    form = await _form(request)
    sessions: Sessions = request.app.state.sessions
    if not sessions.is_valid_csrf_token(form.get("token", ""), request.cookies.get(COOKIE)):
        raise Unauthorized("The form is expired or was not created by this server. Reload the page.")
    return form


async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


Form = Annotated[dict[str, str], Depends(_form)]
CheckedForm = Annotated[dict[str, str], Depends(_checked_form)]
RuntimeDep = Annotated[Runtime, Depends(_runtime)]
