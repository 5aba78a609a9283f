"""The plan of the demo film."""

from pathlib import Path
from typing import Any

from callsheet.cli.demo.music import demo_music
from callsheet.cli.demo.scene import demo_scene
from callsheet.cli.demo.still import demo_still
from callsheet.domain.plan_parsing import read_plan_text

OPERATIONS = (demo_scene, demo_still, demo_music)
"""What the plan needs besides the built-in operations; known only where the demo runs."""

_PLAN = Path(__file__).with_name("film.yaml")
_MOST_BYTES = 1 << 20


def plan(*, preset: str | None = None) -> dict[str, Any]:
    """Return the plan, as it could be sent to the API; `preset` is that of the film's encoder (None: as planned)."""
    data: dict[str, Any] = read_plan_text(_PLAN.read_bytes(), max_bytes=_MOST_BYTES)
    if preset is not None:
        film = next(job for job in data["jobs"] if job["id"] == "film")
        film["params"]["output"]["preset"] = preset
    return data
