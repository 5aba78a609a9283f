"""Render of the six-scene video after a change of one scene, with the first render in the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.children import Child
from bench.media.edit import six_scenes
from bench.media.processes import TIMEOUT, callsheet
from bench.media.turns import COLUMNS, ROUNDS, Candidate, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

FIRST = "first render"
TRIMMED = "one scene starts later"
RETITLED = "one scene gets a title"
UNCHANGED = "nothing changed"
MAX_SHARE = 1 / 3


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Render the video with an empty cache, then with changes."""
    folder = stores.folder / "media-change"
    progress("creating the sources")
    edit = six_scenes(folder / "sources", sizes.scene_seconds)
    rounds = min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-change", f"The video of six scenes after a change; median of {rounds}", [*COLUMNS, "segments encoded"]
    )
    work = folder / "work"
    with callsheet(stores, edit.folder) as process:

        def render(**changes: Any) -> dict[str, int]:
            return _render(process, work, edit.timeline(**changes))

        render()
        candidates = [
            Candidate(FIRST, lambda: fresh(work) and render()),
            Candidate(TRIMMED, lambda: render(trimStart=0.5)),
            Candidate(RETITLED, lambda: render(title="Another one")),
            Candidate(UNCHANGED, render),
        ]
        turns = in_turns(candidates, rounds, stores, finding, progress)
    finding.rows = turns.rows(FIRST, lambda name: [_encoded(turns.outcomes[name])])
    for name in (TRIMMED, RETITLED):
        cpu, wall = turns.cpu(name) / turns.cpu(FIRST), turns.wall(name) / turns.wall(FIRST)
        finding.verdicts.append(Verdict(f"{name}: under a third of the CPU", ratio(cpu, 1), cpu < MAX_SHARE))
        finding.verdicts.append(Verdict(f"{name}: under a third of the time", ratio(wall, 1), wall < MAX_SHARE))
    return finding


def _render(process: Child, folder: Path, timeline: dict[str, Any]) -> dict[str, int]:
    result = process.ask("operation", TIMEOUT, name="render", params=timeline, folder=str(folder), cached=True)[
        "result"
    ]
    return {"segments": result["segments"], "cached": result["cached"]}


def _encoded(result: dict[str, int]) -> str:
    return f"{result['segments'] - result['cached']} of {result['segments']}"
