"""Types of filter options: each parses the text of a client and returns the value to write.

FFmpeg reads an option from a file if its name starts with `/`, and some options name files to write. So no text of a
client is passed on: a value is parsed to its type, and written again from the parsed value.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

OptionType = Callable[[str], str]
"""Parses the text of a client and returns the value to write. Raises ValueError that names what is allowed."""

_NUMBER = re.compile(r"([+-]?\d{1,12}(?:\.\d{0,12})?(?:[eE][+-]?\d{1,2})?)(dB|k)?", re.ASCII)
_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{0,6})?)(s|ms|us)?", re.ASCII)
_CHANNEL = r"(?:FL|FR|FC|LFE|BL|BR|FLC|FRC|BC|SL|SR|TC|TFL|TFC|TFR|TBL|TBC|TBR)"
_CHANNELS = re.compile(rf"all|{_CHANNEL}(?:\+{_CHANNEL}){{0,15}}")
_LAYOUTS = ("mono", "stereo", "2.1", "3.0", "3.1", "4.0", "quad", "5.0", "5.1", "6.1", "7.1")
_PAN_TERM = rf"(?:\d{{1,3}}(?:\.\d{{0,6}})?\*)?(?:c\d{{1,2}}|{_CHANNEL})"
_PAN_OUTPUT = re.compile(rf"(?:c\d{{1,2}}|{_CHANNEL})[=<]-?{_PAN_TERM}(?:[+-]{_PAN_TERM}){{0,15}}")
_BAND = re.compile(r"c(\d{1,2}) f=(\S{1,24}) w=(\S{1,24}) g=(\S{1,24})(?: t=([0-2]))?")
_TRUE = frozenset({"1", "true", "yes", "on", "y", "enable", "enabled"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "disable", "disabled"})


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two bounds, such as `0.5`, `-3dB` (a ratio of amplitudes) or `1k`."""

    low: float
    high: float

    def __call__(self, text: str) -> str:
        """Return the number without its unit."""
        match = _NUMBER.fullmatch(text)
        value = float(match[1]) if match is not None else math.nan
        if match is not None and match[2] is not None:
            value = 10 ** min(value / 20, 300) if match[2] == "dB" else value * 1000
        if not self.low <= value <= self.high:
            raise ValueError(f"allowed: a number from {self.low:g} to {self.high:g}")
        return f"{value:.9f}".rstrip("0").rstrip(".")  # FFmpeg reads neither 1e-05 nor .5


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number between two bounds."""

    low: int
    high: int

    def __call__(self, text: str) -> str:
        """Return the number."""
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,10}", text) else self.high + 1
        if not self.low <= value <= self.high:
            raise ValueError(f"allowed: a whole number from {self.low} to {self.high}")
        return str(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a list of names."""

    names: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Return the name."""
        if text not in self.names:
            raise ValueError(f"allowed: {', '.join(self.names)}")
        return text


@dataclass(frozen=True, slots=True)
class ListOf:
    """Up to `max_items` values of one type. FFmpeg separates them with `|`; some filters also accept spaces."""

    item: OptionType
    max_items: int = 64
    separators: str = "|"

    def __call__(self, text: str) -> str:
        """Return the values, separated by `|`."""
        items = [item for item in re.split(f"[{re.escape(self.separators)}]", text) if item]
        if not 1 <= len(items) <= self.max_items:
            raise ValueError(f"allowed: 1 to {self.max_items} values, separated by |")
        return "|".join(self.item(item) for item in items)


def choice(names: str) -> Choice:
    """Return a choice of names that are separated by spaces."""
    return Choice(tuple(names.split()))


def boolean(text: str) -> str:
    """Return `1` or `0`."""
    if text.lower() in _TRUE | _FALSE:
        return "1" if text.lower() in _TRUE else "0"
    raise ValueError("allowed: 0, 1, true, false")


def seconds(text: str) -> str:
    """Return a duration in seconds. A client may write `1.5`, `1.5s`, `200ms` or `200us`."""
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise ValueError("allowed: a duration such as 1.5, 200ms")
    scale = {None: 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}[match[2]]
    return f"{float(match[1]) * scale:.6f}".rstrip("0").rstrip(".")


def channels(text: str) -> str:
    """Return the names of channels, such as `FL+FR`, or `all`."""
    if _CHANNELS.fullmatch(text):
        return text
    raise ValueError("allowed: all, or names of channels such as FL+FR")


def transfer_points(text: str) -> str:
    """Return the points of a `compand` curve: pairs of input and output level in dB, such as `-70/-90|0/-3`."""
    level = Number(-900, 900)
    points = [point.split("/") for point in re.split(r"[| ]", text) if point]
    if not 1 <= len(points) <= 64 or any(len(point) not in (1, 2) for point in points):
        raise ValueError("allowed: 1 to 64 points such as -70/-90, separated by |")
    return "|".join("/".join(level(value) for value in point) for point in points)


def pan_channels(text: str) -> str:
    """Return the arguments of `pan`: an output layout, and the sources of each channel."""
    layout, *outputs = (part.replace(" ", "") for part in text.split("|"))
    if layout in _LAYOUTS and 1 <= len(outputs) <= 16 and all(_PAN_OUTPUT.fullmatch(output) for output in outputs):
        return "|".join([layout, *outputs])
    raise ValueError(f"allowed: a layout ({', '.join(_LAYOUTS)}) and channels, such as stereo|c0=0.5*FL+0.5*FC|c1=FR")


def equalizer_bands(text: str) -> str:
    """Return the bands of `anequalizer`, such as `c0 f=200 w=100 g=-10 t=1|c1 f=200 w=100 g=-10`."""
    bands = [_BAND.fullmatch(band.strip()) for band in text.split("|")]
    if len(bands) > 64 or not all(bands):
        raise ValueError("allowed: up to 64 bands such as 'c0 f=200 w=100 g=-10 t=1', separated by |")
    return "|".join(_write_band(band) for band in bands if band is not None)


def _write_band(band: re.Match[str]) -> str:
    hertz, gain = Number(0, 999_999), Number(-900, 900)
    kind = f" t={band[5]}" if band[5] is not None else ""
    return f"c{int(band[1])} f={hertz(band[2])} w={hertz(band[3])} g={gain(band[4])}{kind}"
