"""Output of commands: data on stdout as columns or JSON, messages on stderr."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from callsheet.domain.plain_text import plain_text

_COLORS = {
    "succeeded": "32",
    "working": "32",
    "running": "36",
    "failed": "31",
    "lost": "31",
    "cancelled": "33",
    "skipped": "33",
    "stopping": "33",
    "paused": "33",
}


_C1 = re.compile(r"[\x7f-\x9f]")


def use_color(stream: TextIO) -> bool:
    """Return whether a stream is a terminal and colors are not turned off."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str = "") -> None:
    """Print a message on stderr."""
    print(plain_text(text), file=sys.stderr, flush=True)  # noqa: T201 - messages of commands go to stderr


def show(text: str) -> None:
    """Print data, on stdout."""
    _write(plain_text(text))


def _write(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - data of commands goes to stdout


def show_json(data: Any) -> None:
    """Print data as JSON: indented on a terminal, one line elsewhere."""
    # JSON escapes the control characters below U+0020 only.
    text = json.dumps(data, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str)
    _write(_C1.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def show_columns(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in aligned columns. Cells are never cut."""
    cells = [["" if cell is None else plain_text(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    colored = use_color(sys.stdout)
    _write(_dimmed(_line(headings, widths), colored=colored))
    for row in cells:
        line = _line(row, widths)
        for word in {*row} & {*_COLORS} if colored else ():
            line = line.replace(word, f"\033[{_COLORS[word]}m{word}\033[0m", 1)
        _write(line)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _dimmed(text: str, *, colored: bool) -> str:
    return f"\033[2m{text}\033[0m" if colored else text


def size_text(size: int) -> str:
    """Return a number of bytes as text, such as `1.5 MB`."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """Return a duration as text, such as `1.2 s`, `1:01` or `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_text(timestamp: str | None) -> str:
    """Return an RFC 3339 timestamp in local time."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S") if timestamp else ""


def media_text(artifact: Mapping[str, Any]) -> str:
    """Return duration, frame size, frame rate and codecs of a file, or its media type; and whether its run ended."""
    probe = artifact.get("probe") or {}
    parts = []
    if probe.get("duration"):
        parts.append(seconds_text(probe["duration"]))
    if probe.get("width") and probe.get("height"):
        rate = f" at {probe['fps']:g} fps" if probe.get("fps") else ""
        parts.append(f"{probe['width']}x{probe['height']}{rate}")
    parts += [probe[codec] for codec in ("videoCodec", "audioCodec") if probe.get(codec)]
    text = ", ".join(parts) or str(artifact.get("mediaType", ""))
    return f"{text} (kept from an unfinished run)" if artifact.get("fromUnfinishedRun") else text
