"""Values as people write them: times, colours, frame rates, qualities."""

import math
import re
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from PIL import ImageColor
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_FITS = {
    "crop": "cover",
    "pad": "contain",
    "letterbox": "contain",
    "blur": "contain_blur",
    "blur_pad": "contain_blur",
    "stretch": "fill",
}
Quality = Literal["low", "medium", "high", "best"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
Resolution = Literal["240p", "360p", "480p", "540p", "720p", "1080p", "1440p", "2160p"]
Hardware = Literal["cpu", "auto", "nvenc", "vaapi", "qsv", "videotoolbox"]

_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_BITS = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM]?)(?:b(?:it)?(?:/s|ps)?)?")
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


def read_color(value: str) -> str:
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


def read_bits(value: Any) -> Any:
    """Return bits per second for a text such as `2.5M`; anything else is passed through."""
    if not isinstance(value, str):
        return value
    if (match := _BITS.fullmatch(value.strip())) is None:
        raise ValueError(f"'{value}' is not a bit rate: write bits per second, or '800k', '2.5M'")
    return round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()])


def even(size: float | Fraction) -> int:
    """Return the nearest even size, at least 2."""
    return max(2, round(size / 2) * 2)


def even_down(size: int) -> int:
    """Return a size rounded down to an even number, at least 2."""
    return max(2, size - size % 2)


def _read_fit(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("-", "_")
    return _FITS.get(name, name)


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

Color = Annotated[str, AfterValidator(read_color)]
"""Kept as `#rrggbb`."""

FrameRate = Annotated[float | str, AfterValidator(_check_rate)]
"""A number, or a fraction as text; `read_rate` makes it exact."""

LoudnessWish = Annotated[bool | float, AfterValidator(_within_reach)]
"""A target in LUFS; false leaves the sound as it is, true is the usual target."""

BitRate = Annotated[int, BeforeValidator(read_bits), Field(ge=8_000, le=500_000_000)]
"""Bits per second."""

Fit = Annotated[Literal["cover", "contain", "contain_blur", "fill", "none"], BeforeValidator(_read_fit)]
"""How a picture fills a box of another shape: `cover` cuts its edges off, `contain` leaves room beside it,
`contain_blur` fills that room with a blur of it, `fill` stretches it, `none` leaves its size."""
