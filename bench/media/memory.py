"""How much memory Callsheet's own process takes for a short film and for long ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.media import inputs
from bench.media.processes import LONGEST, callsheet
from bench.media.turns import ratio
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

SHORT = 10
"""Seconds of the short film, and of each scene of the long one that has many."""
SMALL, LARGE = "160x90", "1280x720"
PROMISED = 1.10


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Render each film by a worker that has made nothing but a very short one before."""
    folder, seconds = stores.folder / "media-memory", sizes.long_film_seconds
    progress("making the sources")
    small = inputs.clip(
        folder, "small.mp4", "testsrc2", size="160x90", rate="30", seconds=seconds, sound="sine", coding=("-g", "60")
    )
    large = inputs.clip(folder, "large.mp4", "testsrc2", size="1280x720", rate="30", seconds=SHORT + 1, sound="sine")
    films = {
        f"{SHORT} s, 2 scenes, {SMALL}": _film([_scene(small, SHORT / 2 + 0.25)] * 2, SMALL),
        f"{SHORT} s, 2 scenes, {LARGE}": _film([_scene(large, SHORT / 2 + 0.25)] * 2, LARGE),
        f"{seconds} s, 1 scene, {SMALL}": _film([_scene(small, seconds)], SMALL),
        f"{seconds} s, {seconds // SHORT} scenes, {SMALL}": _film(
            [_scene(small, SHORT, n * SHORT % (seconds - SHORT)) for n in range(seconds // SHORT)], SMALL
        ),
    }
    finding = Finding(
        "media-memory", "Resident memory of a worker's process that renders, in MiB", ["film, MB", "before", "at most"]
    )
    peaks: list[float] = []
    for name, film in films.items():
        progress(name)
        made, before, most = _rendered(stores, folder / f"worker-{len(peaks)}", film, _film([_scene(small, 1)], SMALL))
        peaks.append(most)
        values = [f"{made / 1e6:.1f}", f"{before / 2**20:.1f}", f"{most / 2**20:.1f}"]
        finding.rows.append(Row(name, values, {"bytes": made, "before": before, "most": most}))
    grown = max(peaks[2:]) / peaks[1]
    finding.verdicts = [
        Verdict(
            f"flat: {seconds} s take at most a tenth more than {SHORT} s in {LARGE}", ratio(grown, 1), grown <= PROMISED
        )
    ]
    finding.notes = [
        "FFmpeg's own processes are not in these figures. A file is stored in parts of 8 MiB, a few of which are in "
        f"memory at a time: so it is the short film in {LARGE}, not that of few bytes, that the long ones are held to.",
    ]
    return finding


def _rendered(stores: Stores, data: Path, film: dict[str, Any], first: dict[str, Any]) -> tuple[int, int, int]:
    """Return the size of the film, and the most memory taken before it, and with it."""
    with callsheet(stores, data.parent, worker=data) as ours:
        ours.ask("job", LONGEST, name="render", params=first)
        before = ours.ask("memory")["most"]
        made = ours.ask("job", LONGEST, name="render", params=film)["bytes"]
        return made, before, ours.ask("memory")["most"]


def _scene(clip: Path, seconds: float, begin: float = 0) -> dict[str, Any]:
    return {"src": str(clip), "trimStart": begin, "duration": seconds, "transition": {"type": "fade", "duration": 0.5}}


def _film(scenes: list[dict[str, Any]], size: str) -> dict[str, Any]:
    width, height = map(int, size.split("x"))
    last = {key: value for key, value in scenes[-1].items() if key != "transition"}
    output = {"width": width, "height": height, "preset": "ultrafast"}
    return {"scenes": [*scenes[:-1], last], "output": output, "loudness": -16}
