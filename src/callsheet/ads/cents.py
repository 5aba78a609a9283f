"""Amounts of money: decimal, with two places."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import Field

Amount = Annotated[Decimal, Field(ge=0, max_digits=17, decimal_places=2)]
"""An amount in the currency of the tenant, not negative, with at most two decimal places."""

CENT = Decimal("0.01")


def split(amount: Decimal, weights: Sequence[Fraction | float]) -> list[Decimal]:
    """Split an amount by weights. The parts add up to it exactly, and each differs from its share by less than a cent.

    By the method of the largest remainder (Hamilton): each part is rounded down, and the cents that are left go to the
    largest remainders, at a tie to the first. Raises ValueError unless the weights are finite, not negative, and one is
    greater than 0.

        split(Decimal("1.00"), [1, 1, 1])  # [0.34, 0.33, 0.33]
    """
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    if total <= 0 or min(exact) < 0:
        raise ValueError("the weights must not be negative, and one must be greater than 0")
    cents = int(amount / CENT)
    shares = [cents * weight / total for weight in exact]
    parts = [int(share) for share in shares]
    by_remainder = sorted(range(len(parts)), key=lambda place: (parts[place] - shares[place], place))
    for place in by_remainder[: cents - sum(parts)]:
        parts[place] += 1
    return [part * CENT for part in parts]
