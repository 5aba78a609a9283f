"""Logins: by user and password, or by key."""

import asyncio
import hmac
import math
from collections.abc import Awaitable

from callsheet.access.directory import Directory
from callsheet.access.login_limits import LoginLimits
from callsheet.access.passwords import UNMATCHED_HASH, is_password
from callsheet.access.sessions import begin_session
from callsheet.access.users import NAME
from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.callers import Caller
from callsheet.domain.errors import TooManyLogins, Unauthorized
from callsheet.domain.scopes import granted
from callsheet.settings import Settings

_MAX_CHECKS = 2
"""Passwords that are checked at a time: each needs 19 MiB and a core."""
_WRONG = "The user or the password is not correct."


class Login:
    """Checks credentials, limits failed logins, and begins sessions."""

    def __init__(self, database: Database, directory: Directory, settings: Settings) -> None:
        self._database = database
        self._directory = directory
        self._settings = settings
        self._limits = LoginLimits()
        self._checking = asyncio.Semaphore(_MAX_CHECKS)

    async def by_key(self, secret: str, *, address: str) -> tuple[Caller, str]:
        """Begin a session with an API key; return its caller and its cookie. Raises Unauthorized or TooManyLogins."""
        self._check_limits(address, None)
        await self._directory.refresh()
        try:
            caller = self._directory.find_key(secret)
        except Unauthorized:
            self._limits.failed(address=address, user=None)
            raise
        return caller, await self._begin(caller, address)

    async def by_password(self, name: str, password: str, *, address: str) -> tuple[Caller, str]:
        """Begin a session of a user; return its caller and its cookie. Raises Unauthorized or TooManyLogins."""
        caller = await self.identify(name, password, address=address)
        return caller, await self._begin(caller, address)

    async def identify(self, name: str, password: str, *, address: str) -> Caller:
        """Return the caller of a user and a password, without a session. Raises Unauthorized or TooManyLogins."""
        user = name.strip().lower()[:100]
        self._check_limits(address, user)
        async with self._checking:
            # Again: many logins that were sent at the same time may have failed while this one waited.
            self._check_limits(address, user)
            caller = await self._find_user(user, password)
            if caller is None:
                self._limits.failed(address=address, user=user)
                raise Unauthorized(_WRONG)
        self._limits.succeeded(user)
        return caller

    async def by_provider(self, person: Awaitable[tuple[Caller, str]], *, address: str) -> tuple[Caller, str, str]:
        """Begin a session of the person whom a sign-in provider identifies.

        Return the caller, the cookie and the path to go to. Raises Unauthorized or TooManyLogins.
        """
        self._check_limits(address, None)
        try:
            caller, target = await person
        except Unauthorized:
            self._limits.failed(address=address, user=None)
            raise
        return caller, await self._begin(caller, address), target

    async def _find_user(self, user: str, password: str) -> Caller | None:
        if self._is_user_of_settings(user, password):
            return self._directory.console_user()
        row = None
        if NAME.fullmatch(user):
            row = await self._database.retry(lambda c: sql.user_to_log_in(c, name=user), timeout=5)
        matches = await asyncio.to_thread(is_password, password, row["password"] if row else UNMATCHED_HASH)
        if row is None or not matches:
            return None
        return Caller("user", row["name"], granted(row["scopes"]), id=row["id"])

    def _is_user_of_settings(self, user: str, password: str) -> bool:
        secret = self._settings.console_password
        if self._settings.console_user is None or secret is None:
            return False
        expected = secret.get_secret_value().encode(errors="replace")
        is_same = hmac.compare_digest(password.encode(errors="replace"), expected)
        return user == self._settings.console_user.lower() and is_same

    async def _begin(self, caller: Caller, address: str) -> str:
        async with self._database.transaction() as connection:
            credential = self._directory.credential_of(caller)
            cookie = await begin_session(connection, caller, credential=credential, address=address)
        self._directory.invalidate()
        return cookie

    def _check_limits(self, address: str, user: str | None) -> None:
        wait = self._limits.wait(address=address, user=user)
        if wait is not None:
            minutes = math.ceil(wait / 60)
            raise TooManyLogins(f"Too many failed logins. Try again in {minutes} minutes.", retry_after=math.ceil(wait))
