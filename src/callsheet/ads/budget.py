"""Shares of a budget: bounded, and smoothed over time."""

from collections.abc import Sequence


def bounded_shares(shares: Sequence[float], *, lowest: float, highest: float) -> list[float]:
    """Return the shares within bounds, adding up to 1: those inside keep their ratios.

    A share outside is set to its bound, and the others are scaled to what is left, until all are inside. Raises
    ValueError for bounds that no shares can meet: `lowest` times their number above 1, or `highest` times it below 1.

        bounded_shares([0.9, 0.1, 0.0], lowest=0.1, highest=0.7)  # [0.7, 0.2, 0.1], since 0.1 : 0.0 has no ratio
    """
    count = len(shares)
    if lowest * count > 1 + 1e-9 or highest * count < 1 - 1e-9:
        raise ValueError(f"{count} shares of {lowest:g} to {highest:g} cannot add up to 1")
    low, high = 0.0, 1.0
    # The common factor of the shares inside: the sum grows with it, so it is found by bisection.
    weights = [share + 1e-12 for share in shares]
    high = 1 / min(weights)
    for _ in range(200):
        middle = (low + high) / 2
        if sum(min(max(weight * middle, lowest), highest) for weight in weights) < 1:
            low = middle
        else:
            high = middle
    return [min(max(weight * high, lowest), highest) for weight in weights]


def smoothed_shares(shares: Sequence[float], before: Sequence[float | None], step: float) -> list[float]:
    """Return shares that move from those before to the new ones by `step`, from 0 to 1. They add up to 1.

    An ad without a share before starts at its new share.
    """
    moved = [
        share if earlier is None else earlier + step * (share - earlier)
        for share, earlier in zip(shares, before, strict=True)
    ]
    total = sum(moved)
    return [share / total for share in moved] if total > 0 else list(shares)
