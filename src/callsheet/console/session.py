"""Sessions of people who logged in to the console: signed, expiring, stored nowhere but in their browser."""

import hashlib
import hmac
import secrets
import time

COOKIE = "callsheet_session"
LIFETIME = 12 * 3600
"""Seconds."""


class Sessions:
    """Makes and checks session cookies and the tokens of forms. A new API key ends every session."""

    def __init__(self, key: bytes, api_key: str | None) -> None:
        digest = hashlib.sha256((api_key or "").encode()).digest()
        self._key = hmac.digest(key, b"callsheet console session\n" + digest, "sha256")

    def begin(self) -> str:
        """Return a new session, as its cookie's value."""
        text = f"{int(time.time()) + LIFETIME}.{secrets.token_urlsafe(16)}"
        return f"{text}.{self._sign('session', text)}"

    def holds(self, cookie: str) -> bool:
        """Tell whether a cookie's value is a session of ours that has not expired."""
        text, _, signature = cookie.rpartition(".")
        expires = text.partition(".")[0]
        if not hmac.compare_digest(signature.encode(errors="replace"), self._sign("session", text).encode()):
            return False
        return expires.isdecimal() and time.time() < int(expires)

    def form_token(self, cookie: str | None) -> str:
        """Return what a form of this session carries, which no other site can know."""
        return self._sign("form", cookie or "")

    def fits(self, token: str, cookie: str | None) -> bool:
        """Tell whether a form came from a page that we gave to this session."""
        return hmac.compare_digest(token.encode(errors="replace"), self.form_token(cookie).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\n{text}".encode(errors="replace"), "sha256").hexdigest()
