"""Value types of media parameters: times, colors, frame rates, bit rates, sizes."""

import math
import re
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from PIL import ImageColor
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_FIT_ALIASES = {
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

_CLOCK = re.compile(r"(?:(\d{1,9}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d{1,12})?)")
_BIT_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*([kKmM]?)(?:b(?:it)?(?:/s|ps)?)?")
_RATE = re.compile(r"\d{1,6}(?:\.\d{1,12}|/\d{1,6})?")
_BROADCAST_RATES = (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(120000, 1001))


def parse_seconds(value: Any) -> Any:
    """Return seconds for a number or a text such as `1:02:03.5`. Other values are returned unchanged."""
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


def parse_color(value: str) -> str:
    """Return a color, given by name, `#rgb`, `#rrggbb` or `rgb(…)`, as `#rrggbb`."""
    try:
        red, green, blue = ImageColor.getrgb(value.strip())[:3]
    except ValueError:
        raise ValueError(f"'{value}' is not a color: write a name such as 'navy', or '#rrggbb'") from None
    return f"#{red:02x}{green:02x}{blue:02x}"


def parse_rate(value: float | str) -> Fraction:
    """Return frames per second as an exact fraction. 29.97 and similar values become the NTSC rates (30000/1001)."""
    try:
        if isinstance(value, str) and not _RATE.fullmatch(value.strip()):
            raise ValueError  # An exponent can make a fraction of a billion digits.
        rate = Fraction(value).limit_denominator(1001)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"'{value}' is not a frame rate: write 30, 29.97 or '30000/1001'") from None
    near = next((known for known in _BROADCAST_RATES if abs(known - rate) < Fraction(1, 100)), rate)
    if not 1 <= near <= 240:
        raise ValueError(f"{value} frames per second is not between 1 and 240")
    return near


def parse_bit_rate(value: Any) -> Any:
    """Return bits per second for a text such as `2.5M`. Other values are returned unchanged."""
    if not isinstance(value, str):
        return value
    if (match := _BIT_RATE.fullmatch(value.strip())) is None:
        raise ValueError(f"'{value}' is not a bit rate: write bits per second, or '800k', '2.5M'")
    return round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()])


def even(size: float | Fraction, *, odd_down: bool = False) -> int:
    """Return the nearest even number of pixels, at least 2: chroma subsampling needs even sizes.

    Both neighbors of an odd integer are equally near. By default it becomes the multiple of 4; with `odd_down` it
    is rounded down, so that an image is never enlarged.
    """
    if odd_down and size % 2 == 1:
        return max(2, int(size) - 1)
    return max(2, round(size / 2) * 2)


def _parse_fit(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("-", "_")
    return _FIT_ALIASES.get(name, name)


def _check_rate(value: float | str) -> float | str:
    parse_rate(value)
    return value


def _check_finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("a time must be finite")
    return value


def _check_loudness(value: float | bool) -> float | bool:
    if not isinstance(value, bool) and not -70 <= value <= -5:
        raise ValueError("loudness is in LUFS, from -70 to -5")
    return value


_TIME_SCHEMA = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
    "description": "Seconds, or a text such as '00:01:30.5'",
}

Seconds = Annotated[
    float,
    Field(ge=0, le=86_400),
    AfterValidator(_check_finite),
    BeforeValidator(parse_seconds),
    WithJsonSchema(_TIME_SCHEMA),
]
"""A time or duration, at most 24 hours."""

Color = Annotated[str, AfterValidator(parse_color)]
"""A color, normalized to `#rrggbb`."""

FrameRate = Annotated[float | str, AfterValidator(_check_rate)]
"""Frames per second: a number, or a fraction as text. `parse_rate` returns the exact fraction."""

LoudnessOption = Annotated[bool | float, AfterValidator(_check_loudness)]
"""A loudness target in LUFS. False leaves the loudness unchanged; true is the default target."""

Strict = Annotated[
    bool,
    Field(
        description="Refuse a file that is cut off or damaged. By default what can be read is used, with a note about "
        "what is missing"
    ),
]
"""Whether a damaged source is an error."""

BitRate = Annotated[int, BeforeValidator(parse_bit_rate), Field(ge=8_000, le=500_000_000)]
"""Bits per second."""

Fit = Annotated[Literal["cover", "contain", "contain_blur", "fill", "none"], BeforeValidator(_parse_fit)]
"""How an image fills a box of another aspect ratio: `cover` crops its edges, `contain` pads it, `contain_blur` pads it
with a blurred copy, `fill` stretches it, `none` keeps its size."""
