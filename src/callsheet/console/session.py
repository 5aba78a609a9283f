"""Sessions of the console: signed cookies that expire. The server stores no sessions."""

import hashlib
import hmac
import secrets
import time

COOKIE = "callsheet_session"
LIFETIME_SECONDS = 12 * 3600


class Sessions:
    """Creates and verifies session cookies and CSRF tokens of forms. A new API key ends all sessions."""

    def __init__(self, key: bytes, api_key: str | None) -> None:
        digest = hashlib.sha256((api_key or "").encode()).digest()
        self._key = hmac.digest(key, b"callsheet console session\n" + digest, "sha256")

    def create(self) -> str:
        """Return the cookie value of a new session."""
        text = f"{int(time.time()) + LIFETIME_SECONDS}.{secrets.token_urlsafe(16)}"
        return f"{text}.{self._sign('session', text)}"

    def is_valid(self, cookie: str) -> bool:
        """Return whether a cookie value is a session of this server that has not expired."""
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
