"""A film of six scenes: Callsheet beside FFmpeg by hand, MoviePy and several encodes one after the other."""

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
    PASSING,
    PRESET,
    RATE,
    WIDTH,
    Edit,
    six_scenes,
)
from bench.media.ffmpeg import facts, likeness, loudness
from bench.media.processes import LONGEST, callsheet, moviepy, no_moviepy
from bench.media.turns import COLUMNS, ROUNDS, Turns, Way, fresh, in_turns, ratio
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
PROMISED_CPU = 1.1


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Make the film in every way in turn, then compare what came out with a lossless one."""
    folder = stores.folder / "media-render"
    progress("making the sources")
    edit = six_scenes(folder / "sources", sizes.scene_seconds)
    rounds = min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-render",
        f"Six scenes with cross-fades, logo, subtitles and loudness to {WIDTH}x{HEIGHT}, {edit.whole / RATE:g} s, "
        f"x264 {PRESET}; median of {rounds}",
        [*COLUMNS, "MB", "frames", "LUFS", "VMAF"],
    )
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(callsheet(stores, edit.folder))
        theirs = None if no_moviepy() else stack.enter_context(moviepy())
        ways = _ways(edit, folder, ours, theirs)
        # What is found out once in the life of a worker, or of a database, is known from here on.
        _by_operation(ours, edit.first(), fresh(folder / "operation"))
        _by_plan(ours, edit.first(), fresh(folder / "plan"))
        turns = in_turns(ways, rounds, stores, finding, progress)
    progress("comparing")
    _report(finding, turns, by_hand.reference(edit, folder / "reference.mp4"))
    return finding


def _ways(edit: Edit, folder: Path, ours: Child, theirs: Child | None) -> list[Way]:
    return [
        Way(OPERATION, lambda: _by_operation(ours, edit, fresh(folder / "operation"))),
        Way(BODIES, lambda: by_hand.one_command(edit, folder / "bodies.mp4")),
        Way(WHOLE, lambda: _by_plan(ours, edit, fresh(folder / "plan"))),
        Way(CHAIN, lambda: by_hand.one_command(edit, folder / "chain.mp4", chained=True)),
        Way(STEPS, lambda: by_hand.several_encodes(edit, folder / "encodes.mp4")),
        Way(MOVIEPY, partial(_by_moviepy, theirs, edit, folder / "moviepy.mp4"), missing=no_moviepy()),
    ]


def _by_operation(ours: Child, edit: Edit, folder: Path) -> Path:
    asked = {"name": "render", "params": edit.timeline(), "folder": str(folder), "cached": False}
    return Path(ours.ask("operation", LONGEST, **asked)["files"][0])


def _by_plan(ours: Child, edit: Edit, folder: Path) -> Path:
    return Path(ours.ask("plan", LONGEST, name="render", params=edit.timeline(), folder=str(folder))["files"][0])


def _by_moviepy(theirs: Child | None, edit: Edit, output: Path) -> Path:
    assert theirs is not None
    film: dict[str, Any] = {
        "scenes": [{"path": str(piece.path), "still": piece.still} for piece in edit.pieces],
        "seconds": edit.frames / RATE,
        "passing": PASSING / RATE,
        "size": [WIDTH, HEIGHT],
        "rate": RATE,
        "logo": {"path": str(edit.logo), "width": LOGO_WIDTH, "edge": LOGO_EDGE, "opacity": LOGO_OPACITY},
        "texts": [asdict(text) for text in edit.texts],
        "font": str(FONTS / "Inter-Bold.otf"),
        "preset": PRESET,
        "crf": CRF,
    }
    theirs.ask("render", LONGEST, film=film, output=str(output))
    return output


def _report(finding: Finding, turns: Turns, reference: Path) -> None:
    hands = [name for name in (BODIES, CHAIN) if turns.has(name)]
    best = min(hands, key=turns.cpu)

    def look(name: str) -> list[str]:
        path = turns.outcomes[name]
        found, heard = facts(path), loudness("-i", path, audio="[0:a]anull[audio]")
        like = "" if name == MOVIEPY else f"{likeness(path, reference):.1f}"
        return [f"{found.bytes / 1e6:.2f}", str(found.frames), f"{heard.integrated:.1f}", like]

    finding.rows = turns.rows(best, look)
    for name in (OPERATION, WHOLE):
        cpu, wall = turns.cpu(name) / turns.cpu(best), turns.wall(name) / turns.wall(best)
        promise = f"{name}: CPU at most {PROMISED_CPU} × {best}"
        finding.verdicts.append(Verdict(promise, ratio(cpu, 1), cpu <= PROMISED_CPU))
        finding.verdicts.append(Verdict(f"{name}: sooner done than {best}", ratio(wall, 1), wall < 1))
    finding.notes = [
        "CPU is that of all processes, PostgreSQL's among them. FFmpeg by hand measures the sound first, with a "
        "command of its own, and brings it to the loudness by gain and limiter. Each way encodes with its own threads.",
        "VMAF is against a lossless film by one command that scales exactly. MoviePy leaves the loudness as it is, and "
        "sets its texts otherwise, so it is not compared.",
    ]
