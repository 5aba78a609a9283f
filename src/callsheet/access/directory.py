"""The callers that have access, in memory: a request costs no query."""

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from callsheet.access.keys import digest_of
from callsheet.access.read_tokens import PREFIX, ReadToken, sign_read_token, verify_read_token
from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.callers import Caller, KeyLimits
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import Unauthorized
from callsheet.domain.scopes import EVERYTHING, Scope, granted
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_FRESH_SECONDS = 1.0
"""Time after which a request asks the database whether anything has changed."""
_READ_TIMEOUT = 2.0

CONSOLE_SCOPES = frozenset({Scope.READ, Scope.SUBMIT, Scope.OPERATE})
"""What the user of the settings may do: all but manage access."""
_READ = frozenset({Scope.READ})
INSTALLATION_KEY = Caller("installation-key", "CALLSHEET_API_KEY", EVERYTHING)
"""A client with the key of the settings."""


@dataclass(frozen=True, slots=True)
class _Entry:
    caller: Caller
    expires_at: datetime | None

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= shared_now()


@dataclass(frozen=True, slots=True)
class _Session:
    id: UUID
    user: Caller | None
    api_key: UUID | None
    credential: bytes | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Contents:
    version: int = -1
    keys: dict[bytes, _Entry] = field(default_factory=dict)
    """By digest."""
    ids: dict[UUID, _Entry] = field(default_factory=dict)
    """The same by the id of the key."""
    sessions: dict[bytes, "_Session"] = field(default_factory=dict)
    """By digest."""
    users: frozenset[UUID] = frozenset()
    """Those that are not disabled."""
    has_rules: bool = False


class Directory:
    """Finds the caller of a key. A change is noticed within about a second, on every server.

    While the database does not respond, what was read before stays valid: requests fail for that reason anyway.
    """

    def __init__(self, database: Database, settings: Settings, signing_key: bytes) -> None:
        """Read tokens are signed with a key derived from `signing_key`; a new key in the settings ends them."""
        self._database = database
        key = settings.api_key
        self._installation_key = key.get_secret_value().encode() if key is not None else None
        self._has_provider = settings.oidc_issuer is not None
        own = hashlib.sha256(self._installation_key or b"").digest()
        self._token_key = hmac.digest(signing_key, b"callsheet read tokens\n" + own, "sha256")
        self._own_callers = self._callers_of_settings(settings, signing_key)
        self._contents = _Contents()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Read what has changed, at most once a second. Raises DatabaseUnavailable if nothing was ever read."""
        if time.monotonic() - self._read_at < _FRESH_SECONDS:
            return
        if self._reading.locked() and self._contents.version >= 0:
            return  # another request reads
        async with self._reading:
            if time.monotonic() - self._read_at >= _FRESH_SECONDS:
                await self._read()

    def invalidate(self) -> None:
        """Make the next request read again. Called after a change by this server."""
        self._read_at = float("-inf")

    def is_open(self) -> bool:
        """Return whether every client of this machine has full access, because no key was ever created.

        With a sign-in provider, it is closed from the start.
        """
        return self._installation_key is None and not self._has_provider and not self._contents.has_rules

    def find_token(self, text: str) -> Caller:
        """Return the caller of a key or a read token. Raises Unauthorized."""
        return self.find_read_token(text) if text.startswith(PREFIX) else self.find_key(text)

    def find_key(self, secret: str) -> Caller:
        """Return the caller of a key. Raises Unauthorized if it is unknown, revoked or expired."""
        if self._installation_key is not None and hmac.compare_digest(
            secret.encode(errors="replace"), self._installation_key
        ):
            return INSTALLATION_KEY
        entry = self._contents.keys.get(digest_of(secret))
        if entry is None:
            raise Unauthorized("The API key is unknown or was revoked.")
        if entry.has_expired:
            raise Unauthorized(f"The API key expired at {entry.expires_at:%Y-%m-%d %H:%M:%S} UTC.")
        return entry.caller

    def issue_read_token(self, execution_id: UUID, issuer: Caller, lifetime: timedelta) -> tuple[str, datetime]:
        """Return a token that reads one execution, and when it expires."""
        expires_at = (shared_now() + lifetime).replace(microsecond=0)
        return sign_read_token(self._token_key, ReadToken(execution_id, issuer.id, expires_at)), expires_at

    def find_read_token(self, text: str) -> Caller:
        """Return the caller of a read token. Raises Unauthorized if it, or the key that issued it, has no access."""
        token = verify_read_token(self._token_key, text)
        if token.issuer is not None and not self._has_access(token.issuer):
            raise Unauthorized("The key or user that created the read token has no access any more.")
        return Caller("read-token", "read token", _READ, id=token.issuer, execution_id=token.execution_id)

    def _has_access(self, id: UUID) -> bool:
        """Return whether a key or a user has access."""
        key = self._contents.ids.get(id)
        return id in self._contents.users if key is None else not key.has_expired

    def find_session(self, cookie: str) -> Caller | None:
        """Return the caller of a session; None if it has ended, or its user or key has no access any more."""
        session = self._contents.sessions.get(digest_of(cookie))
        if session is None or session.expires_at <= shared_now():
            return None
        caller = session.user
        if session.credential is not None:
            caller = self._own_callers.get(session.credential)
        elif session.api_key is not None:
            entry = self._contents.ids.get(session.api_key)
            caller = None if entry is None or entry.has_expired else entry.caller
        return None if caller is None else replace(caller, session_id=session.id)

    def credential_of(self, caller: Caller) -> bytes | None:
        """Return what identifies a caller of the settings in the row of a session; None for a user or a key."""
        return next((name for name, each in self._own_callers.items() if each == caller), None)

    def console_user(self) -> Caller:
        """Return the user of the settings. Raises StopIteration without one."""
        return next(each for each in self._own_callers.values() if each.kind == "user")

    def _callers_of_settings(self, settings: Settings, signing_key: bytes) -> dict[bytes, Caller]:
        """Return the callers of the settings, by a digest that another key or password changes."""
        found: dict[bytes, Caller] = {}
        if self._installation_key is not None:
            text = b"callsheet session by key\n" + self._installation_key
            found[hmac.digest(signing_key, text, "sha256")] = INSTALLATION_KEY
        if settings.console_user is not None and settings.console_password is not None:
            parts = ("callsheet session by user", settings.console_user, settings.console_password.get_secret_value())
            text = "\n".join(parts).encode(errors="replace")
            user = Caller("user", settings.console_user, CONSOLE_SCOPES)
            found[hmac.digest(signing_key, text, "sha256")] = user
        return found

    async def _read(self) -> None:
        try:
            self._contents = await self._database.retry(self._changed_contents, timeout=_READ_TIMEOUT)
        except TRANSIENT_ERRORS as error:
            if self._contents.version < 0:
                raise
            log.warning("could not read the API keys; the known ones stay valid", error=type(error).__name__)
        self._read_at = time.monotonic()

    async def _changed_contents(self, connection: Connection) -> _Contents:
        # Read before the contents: a change between the two is read again in the next round.
        version: int = await sql.access_version(connection)
        if version == self._contents.version:
            return self._contents
        rows = await sql.usable_keys(connection)
        entries = [_Entry(_key_caller(row), row["expires_at"]) for row in rows]
        return _Contents(
            version,
            keys={row["digest"]: entry for row, entry in zip(rows, entries, strict=True)},
            ids={row["id"]: entry for row, entry in zip(rows, entries, strict=True)},
            sessions={row["digest"]: _session(row) for row in await sql.open_sessions(connection)},
            users=frozenset([row["id"] for row in await sql.enabled_users(connection)]),
            has_rules=await sql.has_access_rules(connection),
        )


def _session(row: Any) -> _Session:
    user = None
    if row["user_id"] is not None:
        user = Caller("user", row["name"], granted(row["scopes"]), id=row["user_id"])
    return _Session(row["id"], user, row["api_key"], row["credential"], row["expires_at"])


def _key_caller(row: Any) -> Caller:
    return Caller(
        "key",
        row["name"],
        granted(row["scopes"]),
        id=row["id"],
        key_id=row["id"],
        limits=KeyLimits(row["max_running"], row["monthly_budget"]),
        rate_limit=row["rate_limit"],
    )
