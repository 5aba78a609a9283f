"""The page of access: API keys, users and sessions, for persons with the scope `admin`."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ValidationError

from callsheet.access.directory import Directory
from callsheet.access.keys import ApiKey, ApiKeyRequest, create_key, list_keys, revoke_key
from callsheet.access.sessions import end_session, list_sessions
from callsheet.access.users import UserChange, UserName, UserRequest, change_user, create_user, delete_user, list_users
from callsheet.console.responses import CheckedForm, RuntimeDep, page_response
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import Conflict, Problem, ProblemList
from callsheet.domain.scopes import SCOPES, Scope
from callsheet.domain.validation_problems import validation_problems
from callsheet.engine.reads.costs import sum_costs
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/access")

_PAGE = "/console/access"
_MOST_KEYS = 1000
"""Keys whose costs are read."""
M = TypeVar("M", bound=BaseModel)


@router.get("")
async def page(request: Request, runtime: RuntimeDep) -> Response:
    """Show keys, users and sessions, with forms for new ones."""
    return await _page(request, runtime)


@router.post("/keys")
async def add_key(request: Request, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Create a key, and show its secret once."""
    try:
        wanted = _parsed(ApiKeyRequest, _key_fields(form))
        async with runtime.database.transaction() as connection:
            created = await create_key(connection, wanted, created_by=request.state.caller.name)
    except ProblemList as error:
        return await _page(request, runtime, status=error.status, key_form=form, key_problems=error.problems)
    _directory(request).invalidate()
    response = await _page(request, runtime, status=201, created=created)
    # For the audit log, which then names the key.
    response.headers["Location"] = f"/api/keys/{created.id}"
    return response


@router.post("/keys/{key_id}/revoke")
async def revoke(request: Request, key_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Revoke a key."""
    del form
    await runtime.database.retry(lambda c: revoke_key(c, key_id), timeout=5, transaction=True)
    return _changed(request)


@router.post("/users")
async def add_user(request: Request, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Create a user."""
    fields = {"name": form.get("name", ""), "password": form.get("password", ""), "scopes": _scopes(form)}
    try:
        wanted = _parsed(UserRequest, fields)
        async with runtime.database.transaction() as connection:
            await create_user(connection, wanted, created_by=request.state.caller.name)
    except ProblemList as error:
        return await _page(request, runtime, status=error.status, user_form=form, user_problems=error.problems)
    except Conflict as error:
        taken = [Problem("name", error.code, error.message)]
        return await _page(request, runtime, status=error.status, user_form=form, user_problems=taken)
    return _changed(request)


@router.post("/users/{name}/change")
async def change(request: Request, name: UserName, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Change the scopes of a user; with a new password, that, too."""
    fields: dict[str, Any] = {"scopes": _scopes(form)}
    if form.get("password"):
        fields["password"] = form["password"]
    wanted = _parsed(UserChange, fields)
    async with runtime.database.transaction() as connection:
        await change_user(connection, name, wanted)
    return _changed(request)


@router.post("/users/{name}/disable")
async def disable(request: Request, name: UserName, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Refuse the login of a user, and end all sessions of the user."""
    return await _enable(request, name, form, runtime, disabled=True)


@router.post("/users/{name}/enable")
async def enable(request: Request, name: UserName, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Allow the login of a user again."""
    return await _enable(request, name, form, runtime, disabled=False)


@router.post("/users/{name}/delete")
async def delete(request: Request, name: UserName, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Delete a user with all sessions."""
    del form
    async with runtime.database.transaction() as connection:
        await delete_user(connection, name)
    return _changed(request)


@router.post("/sessions/{session_id}/end")
async def end(request: Request, session_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """End a session."""
    del form
    async with runtime.database.transaction() as connection:
        await end_session(connection, session_id)
    return _changed(request)


async def _enable(
    request: Request, name: str, form: Mapping[str, str], runtime: Runtime, *, disabled: bool
) -> Response:
    del form
    async with runtime.database.transaction() as connection:
        await change_user(connection, name, UserChange(disabled=disabled))
    return _changed(request)


def _changed(request: Request) -> Response:
    _directory(request).invalidate()
    return RedirectResponse(_PAGE, 303)


async def _page(
    request: Request,
    runtime: Runtime,
    *,
    status: int = 200,
    created: ApiKey | None = None,
    key_form: Mapping[str, str] | None = None,
    key_problems: list[Problem] | None = None,
    user_form: Mapping[str, str] | None = None,
    user_problems: list[Problem] | None = None,
) -> Response:
    now = shared_now()
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    keys, users, sessions, costs = await asyncio.gather(
        list_keys(runtime.database),
        list_users(runtime.database),
        list_sessions(runtime.database),
        sum_costs(runtime.reads, "key", since=month, until=None, limit=_MOST_KEYS),
    )
    return page_response(
        request,
        "access.html",
        status=status,
        keys=keys,
        users=users,
        sessions=sessions,
        spent={cost.group: cost.amount for cost in costs},
        now=now,
        own_session=request.state.caller.session_id,
        scopes=SCOPES,
        created=created,
        key_form=_ticked(Scope.READ, Scope.SUBMIT) if key_form is None else key_form,
        key_problems=key_problems or [],
        user_form=_ticked(Scope.READ) if user_form is None else user_form,
        form_of={user.name: _ticked(*user.scopes) for user in users},
        user_problems=user_problems or [],
        is_open=_directory(request).is_open(),
    )


def _key_fields(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a request for a key. Empty fields of the form are no limits."""
    limits = ("rate_limit", "max_running", "monthly_budget")
    fields: dict[str, Any] = {"name": form.get("name", "").strip(), "scopes": _scopes(form)}
    fields |= {name: form[name] for name in limits if form.get(name)}
    if form.get("expires"):
        fields["expires_at"] = _end_of_day(form["expires"])
    return fields


def _end_of_day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(hour=23, minute=59, second=59, tzinfo=UTC)
    except ValueError:
        raise ProblemList([Problem("expiresAt", "bad_value", "must be a date, such as 2027-01-31")]) from None


def _scopes(form: Mapping[str, str]) -> list[Scope]:
    return [scope for scope in Scope if f"scope.{scope}" in form]


def _ticked(*scopes: Scope) -> dict[str, str]:
    """Return the fields of a form in which these scopes are ticked."""
    return {f"scope.{scope}": "true" for scope in scopes}


def _parsed(model: type[M], fields: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise ProblemList(validation_problems(error, model), "The form is invalid") from None


def _directory(request: Request) -> Directory:
    directory: Directory = request.app.state.directory
    return directory
