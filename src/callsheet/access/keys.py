"""API keys: created, listed and revoked. Only their digests are stored."""

import hashlib
import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field, PlainSerializer

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound, Problem, ProblemList
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model
from callsheet.domain.scopes import Scope

PREFIX = "csk_"
"""First characters of every key, so that people and scanners recognize one."""
_SHOWN = len(PREFIX) + 6
"""Characters of a key that are stored and shown. The others have more than 200 bits."""

Dollars = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""US dollars: exact here, a number in JSON."""


class ApiKey(Model):
    """An API key, without its secret."""

    id: UUID
    name: str
    prefix: str = Field(description="Its first characters", examples=["csk_Zk3pQ2"])
    scopes: list[Scope]
    rate_limit: int | None = Field(description="Requests per minute to each server process; null: no limit")
    max_running: int | None = Field(description="Executions in progress at a time; null: no limit")
    monthly_budget: Dollars | None = Field(description="US dollars in a calendar month (UTC); null: no limit")
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="Time of the last request, to the minute")


class ApiKeyWithSecret(ApiKey):
    """A new API key with its secret, which is shown only now."""

    secret: str = Field(description="Clients send it as `Authorization: Bearer …`", examples=["csk_…"])


class ApiKeyRequest(Model):
    """A new API key."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$", examples=["storefront"])
    scopes: list[Scope] = Field([Scope.SUBMIT, Scope.READ], min_length=1, max_length=len(Scope))
    rate_limit: int | None = Field(None, ge=1, le=1_000_000, description="Requests per minute to each server process")
    max_running: int | None = Field(
        None, ge=1, le=1_000_000, description="Executions in progress at a time; others wait for a place"
    )
    monthly_budget: Dollars | None = Field(
        None, ge=0, le=1_000_000_000, description="US dollars in a calendar month (UTC)"
    )
    expires_at: datetime | None = Field(None, examples=["2027-01-01T00:00:00Z"])


async def create_key(connection: Connection, request: ApiKeyRequest, *, created_by: str) -> ApiKeyWithSecret:
    """Store a new key, and return it with its secret. Raises ProblemList if it would expire in the past."""
    expires_at = request.expires_at
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        problem = Problem("expiresAt", "out_of_range", f"{expires_at.isoformat()} has passed; give a time to come")
        raise ProblemList([problem], "The key is invalid")
    secret = PREFIX + secrets.token_urlsafe(32)
    key_id = new_id()
    await sql.insert_key(
        connection,
        id=key_id,
        name=request.name,
        prefix=secret[:_SHOWN],
        digest=digest_of(secret),
        scopes=sorted(set(request.scopes)),
        rate_limit=request.rate_limit,
        max_running=request.max_running,
        monthly_budget=request.monthly_budget,
        created_by=created_by,
        expires_at=expires_at,
    )
    [row] = await sql.list_keys(connection, id=key_id)
    return ApiKeyWithSecret(**row, secret=secret)


async def list_keys(database: Database) -> list[ApiKey]:
    """Return all keys, newest first, also those that were revoked or have expired."""
    rows = await database.retry(lambda c: sql.list_keys(c, id=None), timeout=5)
    return [ApiKey(**row) for row in rows]


async def get_key(database: Database, key_id: UUID) -> ApiKey:
    """Return a key. Raises NotFound."""
    rows = await database.retry(lambda c: sql.list_keys(c, id=key_id), timeout=5)
    if not rows:
        raise _not_found(key_id)
    return ApiKey(**rows[0])


async def revoke_key(connection: Connection, key_id: UUID) -> None:
    """Revoke a key: within two seconds, no server accepts it. A revoked key stays revoked. Raises NotFound."""
    if await sql.revoke_key(connection, id=key_id) is None:
        raise _not_found(key_id)


def digest_of(secret: str) -> bytes:
    """Return what is stored of a key. It has 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _not_found(key_id: UUID) -> NotFound:
    return NotFound(f"There is no API key {key_id}.")
