"""Times of a cut, exactly: its rates are floating numbers that stand for fractions."""

import math
from fractions import Fraction
from typing import Any

from callsheet.media.otio.library import InvalidOtio
from callsheet.media.values import parse_rate


def exact_rate(rate: float) -> Fraction:
    """Return the rate that a number stands for: 29.97 is 30000/1001, and 48000 is that of sound.

    Raises InvalidOtio for what is no rate.
    """
    try:
        return parse_rate(rate)
    except ValueError:
        if not math.isfinite(rate) or rate <= 0:
            raise InvalidOtio(f"the cut holds a rate that is none: {rate} a second") from None
        return Fraction(rate).limit_denominator(1001)


def seconds(time: Any) -> Fraction:
    """Return the seconds of a RationalTime. Raises InvalidOtio for one that is no time."""
    if not math.isfinite(time.value):
        raise InvalidOtio(f"the cut holds a time that is none: {time.value}")
    return Fraction(time.value).limit_denominator(10**6) / exact_rate(time.rate)


def spelled(moment: Fraction) -> float:
    """Return seconds as they stand in a specification, to the microsecond."""
    return round(float(moment), 6)


def rate_word(rate: Fraction) -> int | str:
    """Return a frame rate as it stands in a specification."""
    return rate.numerator if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"
