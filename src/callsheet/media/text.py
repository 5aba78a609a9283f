"""The words seen in a film, as subtitle scripts."""

from collections.abc import Sequence
from pathlib import Path

from callsheet.media.ass import Line, literal, script
from callsheet.media.looks import as_caption, as_title
from callsheet.media.picture import Canvas
from callsheet.media.schedule import Schedule, Shot
from callsheet.media.segments import Script
from callsheet.media.style import TextStyle
from callsheet.media.subtitles import Caption


def write_titles(plan: Schedule, canvas: Canvas, folder: Path) -> list[Script]:
    """Write the titles of all scenes, if there are any."""
    lines = [line for shot in plan.shots for line in _title(shot, plan, canvas)]
    return _written(lines, canvas, folder / "titles.ass")


def write_captions(
    captions: Sequence[Caption], style: TextStyle, plan: Schedule, canvas: Canvas, folder: Path
) -> list[Script]:
    """Write the captions that begin before the film ends."""
    looks = as_caption(style, canvas.width, canvas.height)
    ending = plan.seconds
    lines = [Line(c.start, min(c.end, ending), c.text, looks) for c in captions if c.start < ending]
    return _written(lines, canvas, folder / "captions.ass")


def _title(shot: Shot, plan: Schedule, canvas: Canvas) -> list[Line]:
    title = shot.scene.title
    if title is None:
        return []
    begin = plan.time_of(shot.start)
    alone, passing = plan.time_of(shot.start + shot.blend_in), plan.time_of(shot.end - shot.blend_out)
    start = alone if title.start is None else begin + title.start
    end = passing if title.duration is None else start + title.duration
    end = min(end, plan.time_of(shot.end))
    looks = as_title(title, canvas.width, canvas.height)
    text = literal(title.text.upper() if title.uppercase else title.text)
    return [Line(start, end, text, looks, fade_in=title.fade, fade_out=title.fade)] if end > start else []


def _written(lines: list[Line], canvas: Canvas, path: Path) -> list[Script]:
    if not lines:
        return []
    path.write_text(script(lines, width=canvas.width, height=canvas.height), encoding="utf-8")
    return [Script(path.name, tuple((line.start, line.end) for line in lines))]
