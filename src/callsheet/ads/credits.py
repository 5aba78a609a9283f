"""Credit of a deal to ads: what it should be, and the rows that bring the stored credit there."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from callsheet.ads.attribution import MODELS, Touch, touch_weights
from callsheet.ads.cents import split


@dataclass(frozen=True, slots=True)
class CreditRow:
    """A row of the credit of a deal. A reversal has negative figures."""

    kind: Literal["credit", "reversal"]
    stage: str
    model: str
    ad: str
    served_on: date
    """Day of the touch, in UTC."""
    amount: Decimal
    conversions: float
    """Part of one deal, weighted by the probability of the stage."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "CreditRow":
        """Return an open credit from its row."""
        names = ("stage", "model", "ad", "served_on", "amount", "conversions")
        return cls("credit", **{name: row[name] for name in names})


def due_credits(
    touches: Iterable[Touch], *, stage: str, revenue: Decimal, probability: Decimal, half_life: timedelta
) -> list[CreditRow]:
    """Return the credit that each model gives to the ads of a deal. The amounts of a model add up to `revenue`.

    Touches of one ad on one day are one row. `half_life` is that of the model `time-decay`. Without touches there is no
    credit.
    """
    ordered = sorted(touches)
    rows: list[CreditRow] = []
    for model in MODELS:
        parts: dict[tuple[str, date], Fraction] = defaultdict(Fraction)
        for touch, weight in zip(ordered, touch_weights(model, ordered, half_life), strict=True):
            if weight:
                parts[touch.ad, touch.at.astimezone(UTC).date()] += weight
        if not parts:
            continue
        for (ad, day), amount, weight in zip(parts, split(revenue, list(parts.values())), parts.values(), strict=True):
            rows.append(CreditRow("credit", stage, model, ad, day, amount, float(weight * Fraction(probability))))
    return [row for row in rows if row.amount or row.conversions]


def correction(open_credits: Sequence[CreditRow], due: Sequence[CreditRow]) -> list[CreditRow]:
    """Return the rows that turn the open credit into what is due: reversals first. Empty if nothing changes."""
    rows: list[CreditRow] = []
    for model in MODELS:
        before = [row for row in open_credits if row.model == model]
        after = [row for row in due if row.model == model]
        if _comparable(before) != _comparable(after):
            rows += [reversal(row) for row in before]
            rows += after
    return sorted(rows, key=lambda row: row.kind, reverse=True)


def reversal(row: CreditRow) -> CreditRow:
    """Return the row that cancels a credit."""
    return replace(row, kind="reversal", amount=-row.amount, conversions=-row.conversions)


def total(rows: Iterable[CreditRow], model: str) -> Decimal:
    """Return the sum of the amounts of one model."""
    return sum((row.amount for row in rows if row.model == model), Decimal(0))


def _comparable(rows: Sequence[CreditRow]) -> list[tuple[Any, ...]]:
    # A sum of floats in the database may differ in its last digits.
    return sorted((row.stage, row.ad, row.served_on, row.amount, round(row.conversions, 9)) for row in rows)
