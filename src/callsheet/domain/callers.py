"""Callers: who sends a request."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias
from uuid import UUID

from callsheet.domain.scopes import EVERYTHING, Scope

CallerKind: TypeAlias = Literal["installation-key", "key", "user", "read-token", "local", "cli", "anonymous"]
"""`installation-key`: the key of the settings; `local`: no key is configured, so this machine has full access; `cli`: a
command with access to the database; `anonymous`: a request without a key, such as a failed login."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What limits the submissions of an API key."""

    max_running: int | None = None
    """Executions in progress at a time."""
    monthly_budget: Decimal | None = None
    """US dollars in a calendar month, in UTC."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, and what it may do."""

    kind: CallerKind
    name: str
    scopes: AbstractSet[Scope]
    id: UUID | None = None
    """Of the key or the user."""
    key_id: UUID | None = None
    """The API key that executions belong to: of a key, or of a session that began with it."""
    limits: KeyLimits | None = None
    execution_id: UUID | None = None
    """Of a read token: the only execution that it gives access to."""
    session_id: UUID | None = None
    rate_limit: int | None = None
    """Requests per minute."""

    def has_any(self, scopes: AbstractSet[Scope]) -> bool:
        """Return whether it has at least one of these scopes."""
        return not self.scopes.isdisjoint(scopes)


LOCAL = Caller("local", "this machine", EVERYTHING)
"""Any client of a server that has no keys and listens on loopback only."""
ANONYMOUS = Caller("anonymous", "", frozenset())
