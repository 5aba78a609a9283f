"""Stages of deals: the probability that a deal is won, by stage."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from callsheet.ads.cents import CENT

DEFAULT_STAGES: Mapping[str, Decimal] = {
    "appointmentscheduled": Decimal("0.2"),
    "qualifiedtobuy": Decimal("0.4"),
    "presentationscheduled": Decimal("0.6"),
    "decisionmakerboughtin": Decimal("0.8"),
    "contractsent": Decimal("0.9"),
    "closedwon": Decimal(1),
    "closedlost": Decimal(0),
}
"""The stages of HubSpot's default sales pipeline, with the probabilities that it sets for them."""


def stages_of(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Decimal]:
    """Return the stages of a tenant from its rows; without rows, the default stages."""
    return {row["stage"]: row["probability"] for row in rows} or DEFAULT_STAGES


def synthetic_revenue(value: Decimal, probability: Decimal) -> Decimal:
    """Return what a deal is worth in a stage: its value times the probability that it is won, rounded to the cent."""
    return (value * probability).quantize(CENT, ROUND_HALF_EVEN)
