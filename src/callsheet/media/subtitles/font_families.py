"""Availability check of font families."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.fonts import FAMILY
from callsheet.media.subtitles.ass import Line, build_script, escape_text
from callsheet.media.subtitles.style import TextStyle

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
    for family, font in _font_selections(log):
        selected.setdefault(family, font)  # later selections are fallbacks for missing glyphs
    return [family for family in requested if selected.get(family, FAMILY).startswith(FAMILY)]


def _font_selections(log: str) -> Iterator[tuple[str, str]]:
    """Yield family and selected font of lines such as `fontselect: (Inter, 400, 0) -> /fonts/Inter.ttf, 0, Inter`."""
    for line in log.splitlines():
        request, arrow, font = line.partition("fontselect: (")[2].rpartition(") -> ")
        if arrow:
            yield request.rsplit(", ", 2)[0], font.rpartition(", ")[2].strip()
