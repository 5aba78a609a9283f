"""The film again after a change of one of its six scenes, with the work of the first time in the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.children import Child
from bench.media.edit import six_scenes
from bench.media.processes import LONGEST, callsheet
from bench.media.turns import COLUMNS, ROUNDS, Way, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

FIRST = "first render"
CHANGED = "one scene begins later"
RETOLD = "one scene gets a title"
SAME = "nothing changed"
PROMISED = 1 / 3


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Make the film into an empty cache, then with changes."""
    folder = stores.folder / "media-change"
    progress("making the sources")
    edit = six_scenes(folder / "sources", sizes.scene_seconds)
    rounds = min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-change", f"The film of six scenes after a change; median of {rounds}", [*COLUMNS, "segments made"]
    )
    work = folder / "work"
    with callsheet(stores, edit.folder) as ours:

        def render(**changes: Any) -> dict[str, int]:
            return _render(ours, work, edit.timeline(**changes))

        render()
        ways = [
            Way(FIRST, lambda: fresh(work) and render()),
            Way(CHANGED, lambda: render(trimStart=0.5)),
            Way(RETOLD, lambda: render(title="Another one")),
            Way(SAME, render),
        ]
        turns = in_turns(ways, rounds, stores, finding, progress)
    finding.rows = turns.rows(FIRST, lambda name: [_made(turns.outcomes[name])])
    for name in (CHANGED, RETOLD):
        cpu, wall = turns.cpu(name) / turns.cpu(FIRST), turns.wall(name) / turns.wall(FIRST)
        finding.verdicts.append(Verdict(f"{name}: under a third of the CPU", ratio(cpu, 1), cpu < PROMISED))
        finding.verdicts.append(Verdict(f"{name}: under a third of the time", ratio(wall, 1), wall < PROMISED))
    return finding


def _render(ours: Child, folder: Path, timeline: dict[str, Any]) -> dict[str, int]:
    result = ours.ask("operation", LONGEST, name="render", params=timeline, folder=str(folder), cached=True)["result"]
    return {"segments": result["segments"], "cached": result["cached"]}


def _made(result: dict[str, int]) -> str:
    return f"{result['segments'] - result['cached']} of {result['segments']}"
