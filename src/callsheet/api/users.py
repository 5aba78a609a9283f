"""Users and sessions of the console."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import Field

from callsheet.access.directory import Directory
from callsheet.access.sessions import Session, end_session, list_sessions
from callsheet.access.users import User, UserChange, UserRequest, change_user, create_user, delete_user, list_users
from callsheet.api import examples_access as examples
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model

router = APIRouter(prefix="/api", tags=["access"])

Name = Annotated[str, Path(max_length=100, pattern=r"^[^\x00]*$", description="Name of the user")]


class UserList(Model):
    """The users."""

    users: list[User] = Field(description="By name")


class SessionList(Model):
    """The open sessions."""

    sessions: list[Session] = Field(description="Newest first")


@router.get("/users", name="list_users", summary="List users", responses={**problem_responses(), 200: examples.users})
async def list_all(runtime: RuntimeDep) -> UserList:
    """Return the users of the console."""
    return UserList(users=await list_users(runtime.database))


@router.post(
    "/users",
    status_code=201,
    name="create_user",
    summary="Create a user",
    responses={**problem_responses(409, 422), 201: examples.user},
)
async def create(
    request: Annotated[UserRequest, Body(openapi_examples=examples.user_requests)],
    http_request: Request,
    response: Response,
    caller: CallerDep,
    runtime: RuntimeDep,
) -> User:
    """Create a user, who signs in to the console with the password."""
    async with runtime.database.transaction() as connection:
        user = await create_user(connection, request, created_by=caller.name)
    _directory(http_request).invalidate()
    response.headers["Location"] = f"/api/users/{user.name}"
    return user


@router.patch(
    "/users/{name}",
    name="change_user",
    summary="Change a user",
    responses={**problem_responses(404, 422), 200: examples.user},
)
async def change(
    name: Name,
    request: Annotated[UserChange, Body(openapi_examples=examples.user_changes)],
    http_request: Request,
    runtime: RuntimeDep,
) -> User:
    """Change the scopes or the password of a user, disable or enable the user."""
    async with runtime.database.transaction() as connection:
        user = await change_user(connection, name, request)
    _directory(http_request).invalidate()
    return user


@router.delete(
    "/users/{name}",
    status_code=204,
    name="delete_user",
    summary="Delete a user",
    responses={**problem_responses(404), 204: {"description": "Deleted"}},
)
async def delete(name: Name, request: Request, runtime: RuntimeDep) -> None:
    """Delete a user. The sessions of the user end."""
    async with runtime.database.transaction() as connection:
        await delete_user(connection, name)
    _directory(request).invalidate()


@router.get(
    "/sessions",
    name="list_sessions",
    summary="List sessions",
    responses={**problem_responses(), 200: examples.sessions},
)
async def list_all_sessions(runtime: RuntimeDep) -> SessionList:
    """Return the open sessions of the console."""
    return SessionList(sessions=await list_sessions(runtime.database))


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    name="end_session",
    summary="End a session",
    responses={**problem_responses(404), 204: {"description": "Ended"}},
)
async def end(session_id: UUID, request: Request, runtime: RuntimeDep) -> None:
    """End a session. Within two seconds, no server accepts its cookie."""
    async with runtime.database.transaction() as connection:
        await end_session(connection, session_id)
    _directory(request).invalidate()


def _directory(request: Request) -> Directory:
    directory: Directory = request.app.state.directory
    return directory
