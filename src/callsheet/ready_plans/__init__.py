"""The plans that come with Callsheet, one YAML file each."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from callsheet.domain.plan import Plan
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import read_plan

_MAX_BYTES = 2**20


@cache
def ready_plans() -> Mapping[str, Plan]:
    """Return the plans by name: the name of the file, without its suffix."""
    documents = sorted(
        (each for each in files(__name__).iterdir() if each.name.endswith(".yaml")), key=lambda f: f.name
    )
    return {
        each.name.removesuffix(".yaml"): read_plan(read_plan_text(each.read_bytes(), max_bytes=_MAX_BYTES))
        for each in documents
    }
