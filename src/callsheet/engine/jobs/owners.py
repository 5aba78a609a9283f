"""Owners: the API key that an execution belongs to."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from callsheet.domain.callers import Caller, KeyLimits
from callsheet.settings import Settings


@dataclass(frozen=True, slots=True)
class Owner:
    """The API key that submits an execution, with its limits."""

    api_key: UUID
    limits: KeyLimits
    max_running_of_all: int | None
    """Executions in progress of all keys together; None: no limit."""

    @property
    def awaits_place(self) -> bool:
        """Whether its executions start only when they get a place."""
        return self.limits.max_running is not None or self.max_running_of_all is not None


@dataclass(frozen=True, slots=True)
class InstallationLimits:
    """What limits all keys together."""

    max_running: int | None = None
    """Executions in progress."""
    monthly_budget: Decimal | None = None
    """US dollars in a calendar month, in UTC."""


NO_LIMITS = InstallationLimits()


def limits_of(settings: Settings) -> InstallationLimits:
    """Return the limits in the settings."""
    return InstallationLimits(settings.max_running_executions, settings.monthly_budget)


def scoped_key(owner: Owner | None, idempotency_key: str | None) -> str | None:
    """Return the name under which an idempotency key is stored. Each API key has names of its own.

    A line break separates the two: a header cannot contain one, so that no client can name the key of another.
    """
    if idempotency_key is None or owner is None:
        return idempotency_key
    return f"{owner.api_key}\n{idempotency_key}"


def owner_of(caller: Caller, settings: Settings) -> Owner | None:
    """Return the owner of what a caller submits. None: it belongs to no API key, and no limit applies."""
    if caller.key_id is None:
        return None
    return Owner(caller.key_id, caller.limits or KeyLimits(), settings.max_running_executions)
