"""Render of six scenes: Callsheet, hand-written FFmpeg commands, several encodes in sequence, and MoviePy."""

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench.children import Child
from bench.media import by_hand
from bench.media.edit import (
    CRF,
    HEIGHT,
    LOGO_EDGE,
    LOGO_OPACITY,
    LOGO_WIDTH,
    PRESET,
    RATE,
    TRANSITION_FRAMES,
    WIDTH,
    Edit,
    six_scenes,
)
from bench.media.ffmpeg import facts, loudness, vmaf
from bench.media.processes import TIMEOUT, callsheet, moviepy, why_no_moviepy
from bench.media.turns import COLUMNS, ROUNDS, Candidate, Turns, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores
from callsheet.media.fonts import FONTS

OPERATION = "Callsheet, the operation"
WHOLE = "Callsheet, callsheet.run"
BODIES = "FFmpeg, one command, xfade in overlaps"
CHAIN = "FFmpeg, one command, xfade chain"
STEPS = "FFmpeg, several encodes"
MOVIEPY = "MoviePy"
MAX_CPU_RATIO = 1.1


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Run all candidates in turn, then compare their output with a lossless render."""
    folder = stores.folder / "media-render"
    progress("creating the sources")
    edit = six_scenes(folder / "sources", sizes.scene_seconds)
    rounds = min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-render",
        f"Six scenes with cross-fades, logo, subtitles and loudness to {WIDTH}x{HEIGHT}, "
        f"{edit.total_frames / RATE:g} s, x264 {PRESET}; median of {rounds}",
        [*COLUMNS, "MB", "frames", "LUFS", "VMAF"],
    )
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(callsheet(stores, edit.folder))
        moviepy_process = None if why_no_moviepy() else stack.enter_context(moviepy())
        candidates = _candidates(edit, folder, process, moviepy_process)
        # Warm-up of everything that is cached in a worker or a database.
        _by_operation(process, edit.first(), fresh(folder / "operation"))
        _by_plan(process, edit.first(), fresh(folder / "plan"))
        turns = in_turns(candidates, rounds, stores, finding, progress)
    progress("comparing")
    _report(finding, turns, by_hand.reference(edit, folder / "reference.mp4"))
    return finding


def _candidates(edit: Edit, folder: Path, process: Child, moviepy_process: Child | None) -> list[Candidate]:
    return [
        Candidate(OPERATION, lambda: _by_operation(process, edit, fresh(folder / "operation"))),
        Candidate(BODIES, lambda: by_hand.one_command(edit, folder / "bodies.mp4")),
        Candidate(WHOLE, lambda: _by_plan(process, edit, fresh(folder / "plan"))),
        Candidate(CHAIN, lambda: by_hand.one_command(edit, folder / "chain.mp4", chained=True)),
        Candidate(STEPS, lambda: by_hand.several_encodes(edit, folder / "encodes.mp4")),
        Candidate(
            MOVIEPY, partial(_by_moviepy, moviepy_process, edit, folder / "moviepy.mp4"), missing=why_no_moviepy()
        ),
    ]


def _by_operation(process: Child, edit: Edit, folder: Path) -> Path:
    request = {"name": "render", "params": edit.timeline(), "folder": str(folder), "cached": False}
    return Path(process.ask("operation", TIMEOUT, **request)["files"][0])


def _by_plan(process: Child, edit: Edit, folder: Path) -> Path:
    return Path(process.ask("plan", TIMEOUT, name="render", params=edit.timeline(), folder=str(folder))["files"][0])


def _by_moviepy(moviepy_process: Child | None, edit: Edit, output: Path) -> Path:
    assert moviepy_process is not None
    film: dict[str, Any] = {
        "scenes": [{"path": str(clip.path), "still": clip.still} for clip in edit.clips],
        "seconds": edit.frames / RATE,
        "passing": TRANSITION_FRAMES / RATE,
        "size": [WIDTH, HEIGHT],
        "rate": RATE,
        "logo": {"path": str(edit.logo), "width": LOGO_WIDTH, "edge": LOGO_EDGE, "opacity": LOGO_OPACITY},
        "texts": [asdict(text) for text in edit.texts],
        "font": str(FONTS / "Inter-Bold.otf"),
        "preset": PRESET,
        "crf": CRF,
    }
    moviepy_process.ask("render", TIMEOUT, film=film, output=str(output))
    return output


def _report(finding: Finding, turns: Turns, reference: Path) -> None:
    by_hand_names = [name for name in (BODIES, CHAIN) if turns.has(name)]
    best = min(by_hand_names, key=turns.cpu)

    def columns(name: str) -> list[str]:
        path = turns.outcomes[name]
        properties, measured = facts(path), loudness("-i", path, audio="[0:a]anull[audio]")
        score = "" if name == MOVIEPY else f"{vmaf(path, reference):.1f}"
        return [f"{properties.bytes / 1e6:.2f}", str(properties.frames), f"{measured.integrated:.1f}", score]

    finding.rows = turns.rows(best, columns)
    for name in (OPERATION, WHOLE):
        cpu, wall = turns.cpu(name) / turns.cpu(best), turns.wall(name) / turns.wall(best)
        claim = f"{name}: CPU at most {MAX_CPU_RATIO} × {best}"
        finding.verdicts.append(Verdict(claim, ratio(cpu, 1), cpu <= MAX_CPU_RATIO))
        finding.verdicts.append(Verdict(f"{name}: faster than {best}", ratio(wall, 1), wall < 1))
    finding.notes = [
        "CPU is the sum of all processes, including PostgreSQL. The hand-written commands first measure the loudness, "
        "and then normalize it by gain and limiter. Each candidate uses its own default number of threads.",
        "VMAF compares with a lossless render by one command with exact scaling. MoviePy does not normalize the "
        "loudness and draws texts differently, so it has no score.",
    ]
