"""Which families of fonts are at hand where text is drawn."""

import re
from collections.abc import Iterable
from pathlib import Path

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.fonts import FAMILY
from callsheet.media.subtitles.ass import Line, literal, script
from callsheet.media.subtitles.style import TextStyle

_CHOSEN = re.compile(r"fontselect: \((?P<asked>.+), \d+, \d+\) -> .*, -?\d+, (?P<taken>\S+)\s*$", re.MULTILINE)
_SCRIPT = "families.ass"


async def missing_families(ffmpeg: FFmpeg, families: Iterable[str], folder: Path) -> list[str]:
    """Return those of the families that no font here has; text in them is drawn in Inter.

    FFmpeg itself is asked, by drawing a letter of each. A script is left in the folder.
    """
    asked = sorted({family for family in families if family.casefold() != FAMILY.casefold()})
    if not asked:
        return []
    looks = TextStyle.model_validate({})
    lines = [Line(0, 1, literal("a"), looks.model_copy(update={"font_family": family})) for family in asked]
    (folder / _SCRIPT).write_text(script(lines, width=64, height=64), encoding="utf-8")
    graph = FilterGraph()
    drawn = graph.add("subtitles", graph.add("color", size="64x64", rate=1, duration=1), filename=_SCRIPT)
    words = ["-filter_complex", str(graph), "-map", f"[{drawn}]", "-frames:v", "1", "-f", "null", "-"]
    said = (await ffmpeg.capture(words, cwd=folder, verbosity="verbose")).stderr
    taken: dict[str, str] = {}
    for match in _CHOSEN.finditer(said):
        taken.setdefault(match["asked"], match["taken"])  # the next ones are for letters that the first lacks
    return [family for family in asked if taken.get(family, FAMILY).startswith(FAMILY)]
