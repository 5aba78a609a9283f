"""The mapping `content-generation`: a language model writes the texts of a video."""

from collections.abc import Mapping
from typing import Any

from callsheet.intake.contract import Outcome
from callsheet.intake.mappings import Payload, PlanData

_ROUTING = ("jobId", "payload", "publish")
"""Fields of a body that are no params."""
_TEXTS = ("title", "caption", "hashtags", "script", "scenes", "duration")


def content_generation(payload: Payload) -> PlanData:
    """Return the plan: one job `content`, whose params are the fields of the body.

    The fields can be inside of `payload`, too. `caption` and `script` are drafts, and become part of the brief. Unknown
    fields are problems of the plan.
    """
    inner = payload.data.get("payload")
    fields = dict(inner) if isinstance(inner, Mapping) else dict(payload.data)
    params = {name: value for name, value in fields.items() if name not in _ROUTING and value is not None}
    drafts = {name: params.pop(name) for name in ("caption", "script") if name in params}
    if drafts:
        params["brief"] = _brief(params, drafts)
    return {
        "name": f"{payload.source} {payload.product_id}"[:200],
        "jobs": [{"id": "content", "operation": "content", "params": params}],
    }


def _brief(params: dict[str, Any], drafts: Mapping[str, Any]) -> dict[str, Any]:
    given = next((params.pop(name) for name in ("brief", "context", "instructions") if name in params), None)
    context = given if isinstance(given, Mapping) else {"context": given}
    return {**context, **{f"draft of the {name}": text for name, text in drafts.items()}}


def written_texts(outcome: Outcome) -> dict[str, Any]:
    """Return title, caption, script and scenes of the first job `content`; an empty object without one."""
    for job in outcome.execution.jobs:
        if job.operation == "content" and job.result is not None:
            return {name: job.result[name] for name in _TEXTS}
    return {}
