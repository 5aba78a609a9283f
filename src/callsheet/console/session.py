"""The session cookie of the console, and the tokens of its forms (CSRF protection)."""

import hmac
from collections.abc import Callable, Sequence

from markupsafe import Markup

COOKIE = "callsheet_session"


class FormToken(str):
    """The token of the forms of a page, which also knows which forms the person may send.

    Forms that need a scope which the person lacks are shown with disabled buttons that say why.
    """

    __slots__ = ("_missing",)
    _missing: Callable[[str], Sequence[str]]

    @classmethod
    def create(cls, token: str, missing: Callable[[str], Sequence[str]]) -> "FormToken":
        """Return a token. `missing` returns the scopes of which one is needed to post to a path; empty: none is."""
        created = cls(token)
        created._missing = missing
        return created

    def may(self, path: str) -> bool:
        """Return whether the person may post to a path."""
        return not self._missing(path)

    def off(self, path: str) -> Markup:
        """Return the attributes of a button that posts to a path: empty, or disabled with the reason."""
        missing = self._missing(path)
        if not missing:
            return Markup("")
        return Markup(' disabled title="{}"').format(f"This needs the scope {' or '.join(missing)}")


class FormTokens:
    """Creates and verifies the tokens of the forms of a session."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"callsheet console forms", "sha256")

    def create(self, cookie: str | None) -> str:
        """Return the token for forms of a session."""
        return hmac.new(self._key, (cookie or "").encode(errors="replace"), "sha256").hexdigest()

    def is_valid(self, token: str, cookie: str | None) -> bool:
        """Return whether a token belongs to a session."""
        return hmac.compare_digest(token.encode(errors="replace"), self.create(cookie).encode())
