"""Data on stdout: aligned columns for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

_COLOURS = {
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


def in_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose user wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str = "") -> None:
    """Talk to the person, on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is where the command line talks


def show(text: str) -> None:
    """Print data, on stdout."""
    print(text, flush=True)  # noqa: T201 - this is where the command line prints


def show_json(data: Any) -> None:
    """Print data as JSON: indented on a terminal, one line elsewhere."""
    show(json.dumps(data, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str))


def show_columns(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in aligned columns; nothing is ever cut off."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    coloured = in_colour(sys.stdout)
    show(_dimmed(_line(heads, widths), coloured=coloured))
    for row in cells:
        line = _line(row, widths)
        for word in {*row} & {*_COLOURS} if coloured else ():
            line = line.replace(word, f"\033[{_COLOURS[word]}m{word}\033[0m", 1)
        show(line)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _dimmed(text: str, *, coloured: bool) -> str:
    return f"\033[2m{text}\033[0m" if coloured else text


def size_text(size: int) -> str:
    """Return a number of bytes as people read it."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """Return a length of time as people read it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment_text(moment: str | None) -> str:
    """Return an RFC 3339 moment in the local time of the person."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def media_text(artifact: Mapping[str, Any]) -> str:
    """Return what a file is: length, picture, codecs."""
    probe = artifact.get("probe") or {}
    parts = []
    if probe.get("duration"):
        parts.append(seconds_text(probe["duration"]))
    if probe.get("width") and probe.get("height"):
        rate = f" at {probe['fps']:g} fps" if probe.get("fps") else ""
        parts.append(f"{probe['width']}x{probe['height']}{rate}")
    parts += [probe[codec] for codec in ("videoCodec", "audioCodec") if probe.get(codec)]
    return ", ".join(parts) or str(artifact.get("mediaType", ""))
