"""Attribution models: which part of a deal each of its touches is credited with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

Model = Literal["first", "last", "linear", "time-decay", "position"]


@dataclass(frozen=True, slots=True, order=True)
class Touch:
    """A contact of a deal with an ad."""

    at: datetime
    ad: str
    kind: str = "click"


def touch_weights(model: Model, touches: Sequence[Touch], half_life: timedelta) -> list[Fraction]:
    """Return the weight of each touch, in the order of the touches, which are sorted by time. The weights add up to 1.

    The rules are those of Google Analytics and HubSpot: `first` and `last` credit one touch; `linear` all alike;
    `time-decay` halves the credit with each half-life between the touch and the newest one; `position` gives 40 % to
    the first, 40 % to the last, and the rest evenly to those between, or one half each to two touches. An empty
    sequence has no weights.

        touch_weights("position", [a, b, c], timedelta(days=7))  # [2/5, 1/5, 2/5]
    """
    if not touches:
        return []
    if model == "time-decay":
        newest = touches[-1].at
        # Relative to the newest touch, since only the ratios count: no weight underflows but those that are negligible.
        raw = [Fraction(2.0 ** max(-1000.0, (touch.at - newest) / half_life)) for touch in touches]
        total = sum(raw)
        return [weight / total for weight in raw]
    return _BY_PLACE[model](len(touches))


def _first(count: int) -> list[Fraction]:
    return [Fraction(int(place == 0)) for place in range(count)]


def _last(count: int) -> list[Fraction]:
    return _first(count)[::-1]


def _linear(count: int) -> list[Fraction]:
    return [Fraction(1, count)] * count


def _position(count: int) -> list[Fraction]:
    if count <= 2:
        return _linear(count)
    return [Fraction(2, 5), *[Fraction(1, 5) / (count - 2)] * (count - 2), Fraction(2, 5)]


_BY_PLACE: Mapping[str, Callable[[int], list[Fraction]]] = {
    "first": _first,
    "last": _last,
    "linear": _linear,
    "position": _position,
}

MODELS: tuple[Model, ...] = ("first", "last", "linear", "time-decay", "position")
"""All models. A deal is credited by each of them."""
