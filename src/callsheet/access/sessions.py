"""Sessions of the console: a random cookie, whose digest is stored, so that a session can be ended."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from callsheet.access.keys import digest_of
from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.callers import Caller
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import NotFound
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model

LIFETIME = timedelta(hours=12)


class Session(Model):
    """A session of the console."""

    id: UUID
    name: str
    user_id: UUID | None
    api_key: UUID | None
    address: str
    created_at: datetime
    expires_at: datetime


async def begin_session(connection: Connection, caller: Caller, *, credential: bytes | None, address: str) -> str:
    """Store a session of a user or a key, and return its cookie. `credential` identifies one of the settings."""
    cookie = secrets.token_urlsafe(32)
    is_user = caller.kind == "user"
    await sql.insert_session(
        connection,
        id=new_id(),
        digest=digest_of(cookie),
        name=caller.name,
        user_id=caller.id if is_user else None,
        api_key=None if is_user else caller.id,
        credential=credential,
        address=address[:100],
        expires_at=shared_now() + LIFETIME,
    )
    return cookie


async def end_session(connection: Connection, session_id: UUID) -> None:
    """End a session on all servers, within two seconds. Raises NotFound."""
    if await sql.end_session_by_id(connection, id=session_id) is None:
        raise NotFound(f"There is no session {session_id}.")


async def log_out(database: Database, cookie: str) -> None:
    """End the session of a cookie, if there is one."""
    await database.retry(lambda c: sql.end_session_by_digest(c, digest=digest_of(cookie)), timeout=5)


async def list_sessions(database: Database) -> list[Session]:
    """Return the open sessions, newest first."""
    rows: list[Any] = await database.retry(sql.open_sessions, timeout=5)
    return [Session(**{name: row[name] for name in Session.model_fields}) for row in rows]
