"""Lays pictures out on one sheet, with the time of each: `python contact_sheet.py REQUEST`.

The request is one JSON object, see `draw`. It runs in a process of its own since pictures take time to decode and
to lay out; by its path, and without importing anything of ours, so that it starts quickly.
"""

import json
import math
import sys
from typing import Any

from PIL import Image, ImageDraw, ImageFont

_GROUND, _INK, _FAINT = "#17152b", "#f6efe4", "#a79fb8"
_OVERSAMPLING = 4
_MOST_SIDE = 16_000
"""Pixels that all pictures of a row or a column take together."""


def draw(request: dict[str, Any]) -> None:
    """Draw the sheet.

    `frames`: a list of `file` and `time`; `columns`; `facts`: a line of text for the head; `fonts`: paths of the
    `bold` and the `regular` font; `output`.
    """
    frames = request["frames"]
    columns = min(request["columns"], len(frames))
    rows = math.ceil(len(frames) / columns)
    with Image.open(frames[0]["file"]) as first:
        cell = _cell(first.size, columns, rows)
    # Everything is measured in a sixteenth of the mean side of a picture.
    unit = max(4, round(math.sqrt(cell[0] * cell[1]) / 16))
    gap, label, head, border = unit, round(unit * 2.1), round(unit * 3.4), round(unit * 1.9)
    width = 2 * border + columns * cell[0] + (columns - 1) * gap
    height = head + border + rows * (cell[1] + label) + (rows - 1) * gap // 2
    sheet = Image.new("RGB", (width, height), _GROUND)
    pen = ImageDraw.Draw(sheet)
    _write_head(pen, request, unit, (border, head, width - border))
    small = ImageFont.truetype(request["fonts"]["regular"], round(unit * 1.05))
    corners = _rounded(cell, max(2, unit // 2))
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        x, y = border + column * (cell[0] + gap), head + row * (cell[1] + label + gap // 2)
        with Image.open(frame["file"]) as image:
            sheet.paste(image.convert("RGB").resize(cell, Image.Resampling.LANCZOS), (x, y), corners)
        pen.text((x + cell[0] / 2, y + cell[1] + label / 2), clock(frame["time"]), _FAINT, small, anchor="mm")
    sheet.save(request["output"], quality=88, optimize=True)


def _cell(picture: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """Return the size of a picture on the sheet: its own, unless the sheet would become too large to be seen."""
    width, height = picture
    factor = min(1.0, _MOST_SIDE / (width * columns), _MOST_SIDE / (height * rows))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _write_head(pen: ImageDraw.ImageDraw, request: dict[str, Any], unit: int, edges: tuple[int, int, int]) -> None:
    left, head, right = edges
    bold = ImageFont.truetype(request["fonts"]["bold"], round(unit * 1.3))
    regular = ImageFont.truetype(request["fonts"]["regular"], round(unit * 1.05))
    first, _, rest = request["facts"].partition("  ")
    pen.text((left, head / 2), first, _INK, bold, anchor="lm")
    if left + pen.textlength(first + "  ", bold) + pen.textlength(rest, regular) <= right:
        pen.text((right, head / 2), rest, _FAINT, regular, anchor="rm")


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    k = _OVERSAMPLING
    mask = Image.new("L", (size[0] * k, size[1] * k))
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, size[0] * k - 1, size[1] * k - 1], radius * k, fill=255)
    return mask.reduce(k)


def clock(seconds: float) -> str:
    """Return a time code: `0:07.5`, with hours where there are any."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


if __name__ == "__main__":
    draw(json.loads(sys.argv[1]))
