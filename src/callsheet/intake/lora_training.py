"""The mapping `lora-training`: one `train-lora` job with the fields of the body as its params.

The body has the path of a dataset, an output directory, `trainingName` and `dryRun`, each in the names that the
operation accepts, such as `datasetPath` and `outputDir`; and any other param of the operation.
"""

from collections.abc import Mapping
from typing import Any

from callsheet.intake.mappings import Payload, PlanData

_NOT_PARAMS = frozenset({"jobId", "payload"})


def lora_training(payload: Payload) -> PlanData:
    """Return the plan. The result of its job becomes part of the result of the message."""
    # Some producers wrap the fields: {"jobId": …, "payload": {…}}.
    inner = payload.data.get("payload")
    fields = dict(inner) if isinstance(inner, Mapping) else dict(payload.data)
    params: dict[str, Any] = {name: value for name, value in fields.items() if name not in _NOT_PARAMS}
    # Small datasets of this queue have images only.
    if isinstance(name := params.get("trainingName"), str) and name.strip():
        params.setdefault("caption", name.strip())
    job = {"id": "lora", "operation": "train-lora", "params": params}
    return {
        "executionPlan": {"name": f"{payload.source} {payload.product_id}"[:200], "jobs": [job]},
        "metadata": {"resultOf": "lora"},
    }
