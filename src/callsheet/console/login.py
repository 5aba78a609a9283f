"""Logging in and out."""

import hmac

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.responses import CheckedForm, Form, RuntimeDep, show
from callsheet.console.session import COOKIE, LIFETIME, Sessions

router = APIRouter()


@router.get("/login")
async def login_page(request: Request, next: str = "/") -> Response:
    """Ask for the API key."""
    return show(request, "login.html", next=_inside(next), wrong=False)


@router.post("/login")
async def log_in(request: Request, form: Form, runtime: RuntimeDep) -> Response:
    """Begin a session for who knows the API key."""
    target, key = _inside(form.get("next", "/")), runtime.settings.api_key
    if key is not None:
        expected = key.get_secret_value().encode()
        if not hmac.compare_digest(form.get("key", "").strip().encode(), expected):
            return show(request, "login.html", status=401, next=target, wrong=True)
    sessions: Sessions = request.app.state.sessions
    answer = RedirectResponse(target, 303)
    safe = request.url.scheme == "https" or (runtime.settings.public_url or "").startswith("https://")
    answer.set_cookie(
        COOKIE, sessions.begin(), max_age=LIFETIME, httponly=True, samesite="strict", secure=safe, path="/"
    )
    return answer


@router.post("/logout")
async def log_out(form: CheckedForm) -> Response:
    """End the session in this browser."""
    del form
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _inside(target: str) -> str:
    """Lead nobody away from this site."""
    return target if target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable() else "/"
