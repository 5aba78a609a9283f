"""Contact sheet script: arranges images on one sheet with labels, as `python contact_sheet.py REQUEST`.

REQUEST is a `ContactSheetJob` as JSON. The script runs in a child process, since decoding and scaling images blocks.
"""

import json
import math
import sys

from PIL import Image, ImageDraw, ImageFont

from callsheet.media.thumbnails.preview_requests import ContactSheetJob

_BACKGROUND, _FOREGROUND, _MUTED = "#17152b", "#f6efe4", "#a79fb8"
_OVERSAMPLING = 4
_MAX_SIDE = 16_000
"""Maximum sum of the image widths of a row, and of the image heights of a column, in pixels."""


def draw(job: ContactSheetJob) -> None:
    """Draw the sheet and save it."""
    columns = min(job.columns, len(job.images))
    rows = math.ceil(len(job.images) / columns)
    with Image.open(job.images[0].file) as first:
        cell = _cell_size(first.size, columns, rows)
    # All distances are multiples of a sixteenth of the mean side of a cell.
    unit = max(4, round(math.sqrt(cell[0] * cell[1]) / 16))
    gap, label_height, head, border = unit, round(unit * 2.1), round(unit * 3.4), round(unit * 1.9)
    width = 2 * border + columns * cell[0] + (columns - 1) * gap
    height = head + border + rows * (cell[1] + label_height) + (rows - 1) * gap // 2
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    _draw_heading(pen, job, unit, (border, head, width - border))
    font = ImageFont.truetype(job.regular_font, round(unit * 1.05))
    mask = _rounded_mask(cell, max(2, unit // 2))
    for index, labeled in enumerate(job.images):
        row, column = divmod(index, columns)
        x, y = border + column * (cell[0] + gap), head + row * (cell[1] + label_height + gap // 2)
        with Image.open(labeled.file) as image:
            sheet.paste(image.convert("RGB").resize(cell, Image.Resampling.LANCZOS), (x, y), mask)
        pen.text((x + cell[0] / 2, y + cell[1] + label_height / 2), labeled.label, _MUTED, font, anchor="mm")
    sheet.save(job.output, quality=88, optimize=True)


def _cell_size(image: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """Return the size of an image on the sheet: its own size, reduced if the sheet would be too large."""
    width, height = image
    factor = min(1.0, _MAX_SIDE / (width * columns), _MAX_SIDE / (height * rows))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _draw_heading(pen: ImageDraw.ImageDraw, job: ContactSheetJob, unit: int, edges: tuple[int, int, int]) -> None:
    left, head, right = edges
    bold = ImageFont.truetype(job.bold_font, round(unit * 1.3))
    regular = ImageFont.truetype(job.regular_font, round(unit * 1.05))
    first, _, rest = job.heading.partition("  ")
    pen.text((left, head / 2), first, _FOREGROUND, bold, anchor="lm")
    if left + pen.textlength(first + "  ", bold) + pen.textlength(rest, regular) <= right:
        pen.text((right, head / 2), rest, _MUTED, regular, anchor="rm")


def _rounded_mask(size: tuple[int, int], radius: int) -> Image.Image:
    k = _OVERSAMPLING
    mask = Image.new("L", (size[0] * k, size[1] * k))
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, size[0] * k - 1, size[1] * k - 1], radius * k, fill=255)
    return mask.reduce(k)


if __name__ == "__main__":
    draw(ContactSheetJob.from_json(json.loads(sys.argv[1])))
