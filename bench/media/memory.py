"""Peak memory of the Callsheet worker process for a short video and for long ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.media import inputs
from bench.media.processes import TIMEOUT, callsheet
from bench.media.turns import ratio
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

SHORT = 10
"""Seconds of the short video, and of each scene of the long one with many scenes."""
SMALL, LARGE = "160x90", "1280x720"
MAX_GROWTH = 1.10


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Render each video on a fresh worker, after a very short warm-up render."""
    folder, seconds = stores.folder / "media-memory", sizes.long_film_seconds
    progress("creating the sources")
    small = inputs.clip(
        folder,
        "small.mp4",
        "testsrc2",
        size="160x90",
        rate="30",
        seconds=seconds,
        audio="sine",
        codec_args=("-g", "60"),
    )
    large = inputs.clip(folder, "large.mp4", "testsrc2", size="1280x720", rate="30", seconds=SHORT + 1, audio="sine")
    timelines = {
        f"{SHORT} s, 2 scenes, {SMALL}": _timeline([_scene(small, SHORT / 2 + 0.25)] * 2, SMALL),
        f"{SHORT} s, 2 scenes, {LARGE}": _timeline([_scene(large, SHORT / 2 + 0.25)] * 2, LARGE),
        f"{seconds} s, 1 scene, {SMALL}": _timeline([_scene(small, seconds)], SMALL),
        f"{seconds} s, {seconds // SHORT} scenes, {SMALL}": _timeline(
            [_scene(small, SHORT, n * SHORT % (seconds - SHORT)) for n in range(seconds // SHORT)], SMALL
        ),
    }
    finding = Finding(
        "media-memory", "Resident memory of a rendering worker process, in MiB", ["video, MB", "before", "peak"]
    )
    peaks: list[float] = []
    for name, timeline in timelines.items():
        progress(name)
        size, before, peak = _render(
            stores, folder / f"worker-{len(peaks)}", timeline, _timeline([_scene(small, 1)], SMALL)
        )
        peaks.append(peak)
        values = [f"{size / 1e6:.1f}", f"{before / 2**20:.1f}", f"{peak / 2**20:.1f}"]
        finding.rows.append(Row(name, values, {"bytes": size, "before": before, "most": peak}))
    growth = max(peaks[2:]) / peaks[1]
    finding.verdicts = [
        Verdict(
            f"flat: {seconds} s take at most a tenth more than {SHORT} s in {LARGE}",
            ratio(growth, 1),
            growth <= MAX_GROWTH,
        )
    ]
    finding.notes = [
        "The figures do not include the FFmpeg processes. A file is stored in parts of 8 MiB, a few of which are in "
        f"memory at a time. So the long videos are compared with the short one in {LARGE}, which has enough bytes.",
    ]
    return finding


def _render(stores: Stores, data: Path, timeline: dict[str, Any], warm_up: dict[str, Any]) -> tuple[int, int, int]:
    """Return the size of the video, and the peak memory before and after its render."""
    with callsheet(stores, data.parent, worker=data) as process:
        process.ask("job", TIMEOUT, name="render", params=warm_up)
        before = process.ask("memory")["most"]
        size = process.ask("job", TIMEOUT, name="render", params=timeline)["bytes"]
        return size, before, process.ask("memory")["most"]


def _scene(clip: Path, seconds: float, trim_start: float = 0) -> dict[str, Any]:
    return {
        "src": str(clip),
        "trimStart": trim_start,
        "duration": seconds,
        "transition": {"type": "fade", "duration": 0.5},
    }


def _timeline(scenes: list[dict[str, Any]], size: str) -> dict[str, Any]:
    width, height = map(int, size.split("x"))
    last = {key: value for key, value in scenes[-1].items() if key != "transition"}
    output = {"width": width, "height": height, "preset": "ultrafast"}
    return {"scenes": [*scenes[:-1], last], "output": output, "loudness": -16}
