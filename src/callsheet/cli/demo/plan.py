"""The plan of the demo film."""

from pathlib import Path
from typing import Any

from callsheet.cli.demo.music import demo_music
from callsheet.cli.demo.scene import demo_scene
from callsheet.cli.demo.still import demo_still
from callsheet.domain.plan_parsing import read_plan_text

OPERATIONS = (demo_scene, demo_still, demo_music)
"""Operations of the plan that are not built in; only `callsheet demo` knows them."""

_PLAN = Path(__file__).with_name("film.yaml")
_MAX_BYTES = 1 << 20


def plan(*, preset: str | None = None) -> dict[str, Any]:
    """Return the plan, in the form that the API accepts.

    `preset` replaces the encoder preset of the film.
    """
    data: dict[str, Any] = read_plan_text(_PLAN.read_bytes(), max_bytes=_MAX_BYTES)
    if preset is not None:
        film = next(job for job in data["jobs"] if job["id"] == "film")
        film["params"]["output"]["preset"] = preset
    return data
