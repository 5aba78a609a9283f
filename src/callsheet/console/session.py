"""Sessions of the console: signed cookies that expire. Only sessions that ended by a logout are stored."""

import hashlib
import hmac
import secrets
import time
from datetime import UTC, datetime

from callsheet.db.database import Database
from callsheet.db.statements import sql

COOKIE = "callsheet_session"
LIFETIME_SECONDS = 12 * 3600


class Sessions:
    """Creates and verifies session cookies and CSRF tokens of forms. A new API key ends all sessions."""

    def __init__(self, database: Database, key: bytes, api_key: str | None) -> None:
        self._database = database
        digest = hashlib.sha256((api_key or "").encode()).digest()
        self._key = hmac.digest(key, b"callsheet console session\n" + digest, "sha256")

    def create(self) -> str:
        """Return the cookie value of a new session."""
        text = f"{int(time.time()) + LIFETIME_SECONDS}.{secrets.token_urlsafe(16)}"
        return f"{text}.{self._sign('session', text)}"

    async def is_active(self, cookie: str) -> bool:
        """Return whether a cookie value is a session that has neither expired nor ended by a logout, on any server."""
        if not self._is_valid(cookie):
            return False
        return not await self._database.retry(lambda c: sql.is_session_ended(c, digest=_digest(cookie)), timeout=5)

    async def end(self, cookie: str) -> None:
        """End a session on all servers."""
        if self._is_valid(cookie):
            expires_at = datetime.fromtimestamp(int(cookie.partition(".")[0]), UTC)
            digest = _digest(cookie)
            await self._database.retry(lambda c: sql.end_session(c, digest=digest, expires_at=expires_at), timeout=5)

    def _is_valid(self, cookie: str) -> bool:
        text, _, signature = cookie.rpartition(".")
        expires = text.partition(".")[0]
        if not hmac.compare_digest(signature.encode(errors="replace"), self._sign("session", text).encode()):
            return False
        return expires.isdecimal() and time.time() < int(expires)

    def csrf_token(self, cookie: str | None) -> str:
        """Return the CSRF token for forms of a session."""
        return self._sign("form", cookie or "")

    def is_valid_csrf_token(self, token: str, cookie: str | None) -> bool:
        """Return whether a CSRF token belongs to a session."""
        return hmac.compare_digest(token.encode(errors="replace"), self.csrf_token(cookie).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\n{text}".encode(errors="replace"), "sha256").hexdigest()


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode(errors="replace")).digest()
