"""The state of a deal, and how a change of its stage or value changes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

MAX_CONTACTS = 200
"""Contacts of one deal whose touches count; the first ones that were named."""


@dataclass(frozen=True, slots=True)
class DealState:
    """What is known about a deal. A new deal has version 0."""

    stage: str | None = None
    stage_at: datetime | None = None
    value: Decimal | None = None
    value_at: datetime | None = None
    contacts: tuple[str, ...] = ()
    version: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | None) -> "DealState":
        """Return the state from its row; without a row, that of a new deal."""
        if row is None:
            return cls()
        return cls(row["stage"], row["stage_at"], row["value"], row["value_at"], tuple(row["contacts"]), row["version"])


@dataclass(frozen=True, slots=True)
class DealChange:
    """A message about a deal. What it does not name is None."""

    at: datetime
    stage: str | None = None
    value: Decimal | None = None
    contacts: Sequence[str] = ()


def changed_deal(state: DealState, change: DealChange) -> DealState:
    """Return the state after a change. Of two stages, or two values, the one with the later time counts.

    So messages can arrive in any order. The version does not change.
    """
    contacts = tuple(dict.fromkeys([*state.contacts, *change.contacts]))[:MAX_CONTACTS]
    changed = replace(state, contacts=contacts)
    if change.stage is not None and (state.stage_at is None or change.at >= state.stage_at):
        changed = replace(changed, stage=change.stage, stage_at=change.at)
    if change.value is not None and (state.value_at is None or change.at >= state.value_at):
        changed = replace(changed, value=change.value, value_at=change.at)
    return changed


def is_outdated(state: DealState, change: DealChange) -> bool:
    """Return whether all that a change says about stage and value is older than what is known."""
    stage_counts = change.stage is not None and (state.stage_at is None or change.at >= state.stage_at)
    value_counts = change.value is not None and (state.value_at is None or change.at >= state.value_at)
    return not stage_counts and not value_counts
