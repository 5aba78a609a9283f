"""How much memory Callsheet's own process takes for a short film and for long ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.media import inputs
from bench.media.processes import LONGEST, callsheet
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

SHORT = 10
"""Seconds of the short film, and of each scene of the long one that has many."""
PROMISED = 1.10


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Render each film by a worker that has made nothing but a very short one before."""
    folder, seconds = stores.folder / "media-memory", sizes.long_film_seconds
    progress("making the source")
    clip = inputs.clip(
        folder, "source.mp4", "testsrc2", size="160x90", rate="30", seconds=seconds, sound="sine", coding=("-g", "60")
    )
    scene = {"src": str(clip), "transition": {"type": "fade", "duration": 0.5}}
    short = [{**scene, "duration": SHORT / 2 + 0.25}] * 2
    many = [{**scene, "trimStart": n * SHORT % (seconds - SHORT), "duration": SHORT} for n in range(seconds // SHORT)]
    films = {
        f"{SHORT} s, 2 scenes": short,
        f"{seconds} s, 1 scene": [{**scene, "duration": seconds}],
        f"{seconds} s, {len(many)} scenes": many,
    }
    finding = Finding(
        "media-memory",
        "Resident memory of a worker's process that renders, in MiB",
        ["before", "at most", "of the short"],
    )
    peaks: list[float] = []
    for name, scenes in films.items():
        progress(name)
        before, most = _rendered(stores, folder, scenes)
        peaks.append(most)
        values = [f"{before / 2**20:.1f}", f"{most / 2**20:.1f}", f"{most / peaks[0]:.2f}×"]
        finding.rows.append(Row(name, values, {"before": before, "most": most}))
    grown = max(peaks) / peaks[0]
    finding.verdicts = [Verdict("flat: at most a tenth more for the long films", f"{grown:.2f}×", grown <= PROMISED)]
    finding.notes = ["FFmpeg's own processes are not in these figures."]
    return finding


def _rendered(stores: Stores, folder: Path, scenes: list[dict[str, Any]]) -> tuple[int, int]:
    with callsheet(stores, folder, worker=folder / f"worker-{len(scenes)}") as ours:
        ours.ask("job", LONGEST, name="render", params=_film([{**scenes[0], "duration": 1}]))
        before = ours.ask("memory")["most"]
        ours.ask("job", LONGEST, name="render", params=_film(scenes))
        return before, ours.ask("memory")["most"]


def _film(scenes: list[dict[str, Any]]) -> dict[str, Any]:
    last = {key: value for key, value in scenes[-1].items() if key != "transition"}
    output = {"width": 160, "height": 90, "preset": "ultrafast"}
    return {"scenes": [*scenes[:-1], last], "output": output, "loudness": -16}
