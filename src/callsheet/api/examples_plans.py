"""Examples of stored plans and batches for the OpenAPI document."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from callsheet.api.examples import receipt
from callsheet.domain.model import Model
from callsheet.domain.plan import Plan
from callsheet.domain.plan_inputs import inputs_schema
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.jobs.batches import Batch, BatchAction, BatchCancellation
from callsheet.engine.jobs.stored_plans import PlanSummary, PlanVersion, StoredPlan

__all__ = ["receipt"]

_AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)

_PLAN: dict[str, Any] = {
    "name": "Title card: ${inputs.text}",
    "description": "A card with one line of text.",
    "inputs": {
        "text": {"type": "string", "maxLength": 80, "examples": ["Opening on Friday"]},
        "seconds": {"type": "number", "default": 3, "minimum": 1, "maximum": 60},
    },
    "jobs": [
        {
            "id": "card",
            "operation": "render",
            "params": {
                "scenes": [{"color": "#17324d", "duration": "${inputs.seconds}", "title": {"text": "${inputs.text}"}}]
            },
        }
    ],
}
_TYPED = Plan.model_validate(_PLAN)
_STORED = StoredPlan(
    name="card",
    version=3,
    origin="stored",
    title=_TYPED.name,
    description=_TYPED.description,
    inputs=_TYPED.inputs,
    created_at=_AT,
    inputs_schema=inputs_schema(_TYPED.inputs),
    plan=_TYPED,
)
_BATCH = Batch(
    id=UUID("019ab1f0-0000-7000-8000-000000000008"),
    name="Friday cards",
    plan_name="card",
    plan_version=3,
    size=2,
    execution_counts={ExecutionStatus.RUNNING: 1, ExecutionStatus.SUCCEEDED: 1},
    created_at=_AT,
)


def _response(example: Model | dict[str, Any], description: str = "Done") -> dict[str, Any]:
    value = example.model_dump(mode="json") if isinstance(example, Model) else example
    return {"description": description, "content": {"application/json": {"example": value}}}


_SUMMARY = PlanSummary(**{name: getattr(_STORED, name) for name in PlanSummary.model_fields})

stored_plan = _response(_STORED)
plan_list = _response({"plans": [_SUMMARY.model_dump(mode="json")]})
plan_versions = _response({"versions": [PlanVersion(version=3, created_at=_AT).model_dump(mode="json")]})
batch = _response(_BATCH)
cancelling_batch = _response(
    _BATCH.model_copy(
        update={"cancellation": BatchCancellation(requested_at=_AT, processed=0, total=2, finished=False)}
    ),
    "Accepted",
)
batch_page = _response({"batches": [_BATCH.model_dump(mode="json")], "nextCursor": None})
batch_action = _response(BatchAction(changed=40, unchanged=2))

pushes = {"card": {"summary": "A plan with two inputs", "value": {"name": "card", "plan": _PLAN}}}
runs = {
    "card": {
        "summary": "One run",
        "value": {"inputs": {"text": "Opening on Friday"}, "callbackUrl": "https://example.com/hooks/callsheet"},
    }
}
plan_batches = {
    "table": {
        "summary": "A table of inputs",
        "value": {"name": "Friday cards", "inputs": [{"text": "Opening on Friday"}, {"text": "Friday, 8 pm"}]},
    },
    "sweep": {
        "summary": "All combinations of values",
        "value": {"sharedInputs": {"text": "Opening on Friday"}, "matrix": {"seconds": [2, 3, 5]}},
    },
}
batches = {
    "table": {
        "summary": "A plan with a table of inputs",
        "value": {"executionPlan": _PLAN, "inputs": [{"text": "Opening on Friday"}, {"text": "Friday, 8 pm"}]},
    }
}
