"""Exact times and frame rates of OpenTimelineIO, which stores fractions as floating-point numbers."""

import math
from fractions import Fraction
from typing import Any

from callsheet.media.otio.library import InvalidOtio
from callsheet.media.values import read_rate


def exact_rate(rate: float) -> Fraction:
    """Return the exact rate that a number stands for: 29.97 is 30000/1001, 48000 is a sample rate.

    Raises InvalidOtio for a rate that is not positive and finite.
    """
    try:
        return read_rate(rate)
    except ValueError:
        if not math.isfinite(rate) or rate <= 0:
            raise InvalidOtio(f"the timeline contains an invalid rate: {rate} per second") from None
        return Fraction(rate).limit_denominator(1001)


def to_seconds(time: Any) -> Fraction:
    """Return a RationalTime in seconds. Raises InvalidOtio for a value that is not finite."""
    if not math.isfinite(time.value):
        raise InvalidOtio(f"the timeline contains an invalid time: {time.value}")
    return Fraction(time.value).limit_denominator(10**6) / exact_rate(time.rate)


def round_seconds(seconds: Fraction) -> float:
    """Return seconds for a render timeline, rounded to the microsecond."""
    return round(float(seconds), 6)


def rate_value(rate: Fraction) -> int | str:
    """Return a frame rate for a render timeline: an integer, or a fraction as text."""
    return rate.numerator if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"
