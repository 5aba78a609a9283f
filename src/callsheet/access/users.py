"""Users of the console: created, changed and deleted."""

import asyncio
import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr, StringConstraints

from callsheet.access.passwords import MAX_LENGTH, MIN_LENGTH, hash_password
from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import Conflict, NotFound, Unauthorized
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model
from callsheet.domain.scopes import Scope

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$")
UserName = Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True, pattern=NAME)]
"""Upper and lower case are the same."""
Password = Annotated[SecretStr, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]


class User(Model):
    """A person who signs in to the console."""

    id: UUID
    name: str
    scopes: list[Scope]
    created_at: datetime
    created_by: str
    disabled_at: datetime | None


class UserRequest(Model):
    """A new user."""

    name: UserName = Field(examples=["mia"])
    password: Password = Field(description=f"At least {MIN_LENGTH} characters")
    scopes: list[Scope] = Field([Scope.READ], min_length=1, max_length=len(Scope), description="`[read]`: only look")


class UserChange(Model):
    """Changes of a user. An absent field, or null, does not change. A new password ends all sessions of the user."""

    password: Password | None = Field(None, description=f"At least {MIN_LENGTH} characters")
    scopes: list[Scope] | None = Field(None, min_length=1, max_length=len(Scope))
    disabled: bool | None = Field(None, description="`true` ends all sessions, and refuses the login")


async def create_user(connection: Connection, request: UserRequest, *, created_by: str) -> User:
    """Store a user. Raises Conflict if the name is taken."""
    password = await asyncio.to_thread(hash_password, request.password.get_secret_value())
    stored = await sql.insert_user(
        connection,
        id=new_id(),
        name=request.name,
        password=password,
        scopes=sorted(set(request.scopes)),
        created_by=created_by,
    )
    if stored is None:
        raise Conflict(f"There is a user '{request.name}' already.")
    return await _get_user(connection, request.name)


async def join_user(
    connection: Connection, *, issuer: str, subject: str, name: str, scopes: list[Scope]
) -> tuple[UUID, str]:
    """Return the id and name of the user that a provider knows as `subject`; a new one is stored with this name.

    The scopes become those of this sign-in. Raises Unauthorized if the user is disabled, or if the name of a new one
    belongs to another user.
    """
    found = await sql.user_of_provider(connection, issuer=issuer, subject=subject)
    if found is None:
        user_id = await sql.insert_user_of_provider(
            connection, id=new_id(), name=name, scopes=scopes, issuer=issuer, subject=subject
        )
        if user_id is None:
            raise Unauthorized(f"The name '{name}' belongs to another user. Ask an administrator.")
        return user_id, name
    if found["disabled_at"] is not None:
        raise Unauthorized("Your user is disabled. Ask an administrator.")
    if sorted(found["scopes"]) != sorted(scopes):
        await sql.change_user(connection, name=found["name"], password=None, scopes=scopes, disabled=None)
    return found["id"], found["name"]


async def change_user(connection: Connection, name: str, change: UserChange) -> User:
    """Change a user. Raises NotFound."""
    secret = change.password
    password = None if secret is None else await asyncio.to_thread(hash_password, secret.get_secret_value())
    user_id = await sql.change_user(
        connection,
        name=name.lower(),
        password=password,
        scopes=None if change.scopes is None else sorted(set(change.scopes)),
        disabled=change.disabled,
    )
    if user_id is None:
        raise _not_found(name)
    if password is not None or change.disabled:
        await sql.end_sessions_of_user(connection, user_id=user_id)
    return await _get_user(connection, name.lower())


async def delete_user(connection: Connection, name: str) -> None:
    """Delete a user with all sessions. Raises NotFound."""
    if await sql.delete_user(connection, name=name.lower()) is None:
        raise _not_found(name)


async def list_users(database: Database) -> list[User]:
    """Return all users by name."""
    return [User(**row) for row in await database.retry(lambda c: sql.list_users(c, name=None), timeout=5)]


async def _get_user(connection: Connection, name: str) -> User:
    [row] = await sql.list_users(connection, name=name)
    return User(**row)


def _not_found(name: str) -> NotFound:
    return NotFound(f"There is no user '{name[:100]}'.")
