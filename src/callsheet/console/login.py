"""Login and logout."""

import hmac

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.responses import CheckedForm, Form, RuntimeDep, page_response
from callsheet.console.session import COOKIE, LIFETIME_SECONDS, Sessions

router = APIRouter()


@router.get("/login")
async def login_page(request: Request, next: str = "/") -> Response:
    """Ask for the API key."""
    return page_response(request, "login.html", next=_local_path(next), invalid_key=False)


@router.post("/login")
async def log_in(request: Request, form: Form, runtime: RuntimeDep) -> Response:
    """Create a session if the API key is correct."""
    target, key = _local_path(form.get("next", "/")), runtime.settings.api_key
    if key is not None:
        expected = key.get_secret_value().encode()
        if not hmac.compare_digest(form.get("key", "").strip().encode(), expected):
            return page_response(request, "login.html", status=401, next=target, invalid_key=True)
    sessions: Sessions = request.app.state.sessions
    response = RedirectResponse(target, 303)
    secure = request.url.scheme == "https" or (runtime.settings.public_url or "").startswith("https://")
    response.set_cookie(
        COOKIE, sessions.create(), max_age=LIFETIME_SECONDS, httponly=True, samesite="strict", secure=secure, path="/"
    )
    return response


@router.post("/logout")
async def log_out(request: Request, form: CheckedForm) -> Response:
    """End the session, on all servers."""
    del form
    sessions: Sessions = request.app.state.sessions
    await sessions.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _local_path(target: str) -> str:
    """Return the path if it is on this site, else `/` (protection against open redirects)."""
    return target if target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable() else "/"
