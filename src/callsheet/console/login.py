"""Login and logout."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.access.directory import Directory
from callsheet.access.login import Login
from callsheet.access.oidc_login import LIFETIME as OIDC_LIFETIME
from callsheet.access.oidc_login import OidcLogin
from callsheet.access.sessions import LIFETIME, log_out
from callsheet.console.responses import CheckedForm, Form, RuntimeDep, page_response
from callsheet.console.session import COOKIE
from callsheet.domain.callers import ANONYMOUS
from callsheet.domain.errors import NotFound, TooManyLogins, Unauthorized
from callsheet.wiring import Runtime

router = APIRouter()

_OIDC_COOKIE = "callsheet_oidc"
_OIDC_PATH = "/login/oidc"


@router.get("/login")
async def login_page(request: Request, next: str = "/") -> Response:
    """Ask for user and password, or for an API key."""
    return page_response(request, "login.html", next=_local_path(next), problem=None, oidc=_label(request))


@router.post("/login")
async def log_in(request: Request, form: Form, runtime: RuntimeDep) -> Response:
    """Begin a session if the password or the key is correct."""
    target = _local_path(form.get("next", "/"))
    directory: Directory = request.app.state.directory
    await directory.refresh()
    if directory.is_open():
        return RedirectResponse(target, 303)
    login: Login = request.app.state.login
    address = request.client.host if request.client else "unknown"
    try:
        if key := form.get("key", "").strip():
            caller, cookie = await login.by_key(key, address=address)
        else:
            caller, cookie = await login.by_password(form.get("user", ""), form.get("password", ""), address=address)
    except (Unauthorized, TooManyLogins) as error:
        request.state.caller = replace(ANONYMOUS, name=form.get("user", "")[:100])
        response = page_response(
            request, "login.html", status=error.status, next=target, problem=error.message, oidc=_label(request)
        )
        if isinstance(error, TooManyLogins):
            response.headers["Retry-After"] = str(error.retry_after)
        return response
    request.state.caller = caller
    redirection = RedirectResponse(target, 303)
    _set_session(redirection, request, runtime, cookie)
    return redirection


@router.get("/login/oidc")
async def begin_oidc(request: Request, runtime: RuntimeDep, next: str = "/") -> Response:
    """Send a person to the sign-in provider."""
    try:
        begun = await _oidc(request).begin(_local_path(next))
    except Unauthorized as error:
        return page_response(
            request,
            "login.html",
            status=error.status,
            next=_local_path(next),
            problem=error.message,
            oidc=_label(request),
        )
    response = RedirectResponse(begun.url, 303)
    # Lax: the person returns from another site.
    response.set_cookie(
        _OIDC_COOKIE,
        begun.cookie,
        max_age=OIDC_LIFETIME,
        httponly=True,
        samesite="lax",
        secure=_is_secure(request, runtime),
        path=_OIDC_PATH,
    )
    return response


@router.get("/login/oidc/callback")
async def finish_oidc(request: Request, runtime: RuntimeDep) -> Response:
    """Begin the session of a person who returns from the sign-in provider."""
    login: Login = request.app.state.login
    address = request.client.host if request.client else "unknown"
    try:
        person = _oidc(request).finish(dict(request.query_params), request.cookies.get(_OIDC_COOKIE, ""))
        caller, cookie, target = await login.by_provider(person, address=address)
    except (Unauthorized, TooManyLogins) as error:
        response: Response = page_response(
            request, "login.html", status=error.status, next="/", problem=error.message, oidc=_label(request)
        )
    else:
        request.state.caller = caller
        # A page and no redirection: in a chain of redirections that began at another site, a browser does not send the
        # strict cookie of the session.
        response = page_response(request, "logged-in.html", target=target)
        _set_session(response, request, runtime, cookie)
    response.delete_cookie(_OIDC_COOKIE, path=_OIDC_PATH, httponly=True, samesite="lax")
    return response


def _oidc(request: Request) -> OidcLogin:
    found: OidcLogin | None = request.app.state.oidc_login
    if found is None:
        raise NotFound("This server has no sign-in provider.")
    return found


def _label(request: Request) -> str | None:
    """Return the name of the sign-in provider for people, if there is one."""
    runtime: Runtime = request.app.state.runtime
    return None if request.app.state.oidc_login is None else runtime.settings.oidc_label


def _set_session(response: Response, request: Request, runtime: Runtime, cookie: str) -> None:
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=_is_secure(request, runtime),
        path="/",
    )


def _is_secure(request: Request, runtime: Runtime) -> bool:
    return request.url.scheme == "https" or (runtime.settings.public_url or "").startswith("https://")


@router.post("/logout")
async def end(request: Request, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """End the session, on all servers."""
    del form
    await log_out(runtime.database, request.cookies.get(COOKIE, ""))
    directory: Directory = request.app.state.directory
    directory.invalidate()
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _local_path(target: str) -> str:
    """Return the path if it is on this site, else `/` (protection against open redirects)."""
    return target if target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable() else "/"
