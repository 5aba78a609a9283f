"""Values as people write them: times, colours, frame rates, qualities."""

import math
import re
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from PIL import ImageColor
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

Fit = Literal["cover", "contain", "contain_blur"]
Quality = Literal["low", "medium", "high", "best"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_BROADCAST = (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(120000, 1001))


def read_seconds(value: Any) -> Any:
    """Return seconds for a number or a text such as `1:02:03.5`; anything else is passed through."""
    if isinstance(value, bool):
        raise ValueError("a time is a number of seconds or a text such as '00:01:30.5'")
    if not isinstance(value, str):
        return value
    if match := _CLOCK.fullmatch(value.strip()):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), float(match[3].replace(",", "."))
        return hours * 3600 + minutes * 60 + seconds
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"'{value}' is not a time: write seconds, or '00:01:30.5'") from None


def read_colour(value: str) -> str:
    """Return a colour by name, `#rgb`, `#rrggbb` or `rgb(…)` as `#rrggbb`."""
    try:
        red, green, blue = ImageColor.getrgb(value.strip())[:3]
    except ValueError:
        raise ValueError(f"'{value}' is not a colour: write a name such as 'navy', or '#rrggbb'") from None
    return f"#{red:02x}{green:02x}{blue:02x}"


def read_rate(value: float | str) -> Fraction:
    """Return frames per second exactly; 29.97 and the like are taken for the broadcast rates they stand for."""
    try:
        rate = Fraction(value).limit_denominator(1001)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"'{value}' is not a frame rate: write 30, 29.97 or '30000/1001'") from None
    near = next((known for known in _BROADCAST if abs(known - rate) < Fraction(1, 100)), rate)
    if not 1 <= near <= 240:
        raise ValueError(f"{value} frames per second is not between 1 and 240")
    return near


def _check_rate(value: float | str) -> float | str:
    read_rate(value)
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("a time must be finite")
    return value


def _within_reach(value: float | bool) -> float | bool:
    if not isinstance(value, bool) and not -70 <= value <= -5:
        raise ValueError("loudness is in LUFS, from -70 to -5")
    return value


_TIME_SCHEMA = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
    "description": "Seconds, or a text such as '00:01:30.5'",
}

Seconds = Annotated[
    float, Field(ge=0, le=86_400), AfterValidator(_finite), BeforeValidator(read_seconds), WithJsonSchema(_TIME_SCHEMA)
]
"""A time or length of at most a day."""

Colour = Annotated[str, AfterValidator(read_colour)]
"""Kept as `#rrggbb`."""

FrameRate = Annotated[float | str, AfterValidator(_check_rate)]
"""A number, or a fraction as text; `read_rate` makes it exact."""

LoudnessWish = Annotated[bool | float, AfterValidator(_within_reach)]
"""A target in LUFS; false leaves the sound as it is, true is the usual target."""
