"""Availability check of font families."""

import re
from collections.abc import Iterable
from pathlib import Path

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.fonts import FAMILY
from callsheet.media.subtitles.ass import Line, build_script, escape_text
from callsheet.media.subtitles.style import TextStyle

_FONT_SELECTION = re.compile(
    r"fontselect: \((?P<requested>.+), \d+, \d+\) -> .*, -?\d+, (?P<selected>\S+)\s*$", re.MULTILINE
)
_SCRIPT = "families.ass"


async def missing_families(ffmpeg: FFmpeg, families: Iterable[str], folder: Path) -> list[str]:
    """Return the families that are not installed. Text in these families is drawn in Inter.

    FFmpeg renders one letter of each family, and its log shows the selected fonts. The script for this remains in
    `folder`.
    """
    requested = sorted({family for family in families if family.casefold() != FAMILY.casefold()})
    if not requested:
        return []
    style = TextStyle.model_validate({})
    lines = [Line(0, 1, escape_text("a"), style.model_copy(update={"font_family": family})) for family in requested]
    (folder / _SCRIPT).write_text(build_script(lines, width=64, height=64), encoding="utf-8")
    graph = FilterGraph()
    rendered = graph.add("subtitles", graph.add("color", size="64x64", rate=1, duration=1), filename=_SCRIPT)
    args = ["-filter_complex", str(graph), "-map", f"[{rendered}]", "-frames:v", "1", "-f", "null", "-"]
    log = (await ffmpeg.capture(args, cwd=folder, verbosity="verbose")).stderr
    selected: dict[str, str] = {}
    for match in _FONT_SELECTION.finditer(log):
        selected.setdefault(match["requested"], match["selected"])  # later matches are fallbacks for missing glyphs
    return [family for family in requested if selected.get(family, FAMILY).startswith(FAMILY)]
