"""Examples of schedules for the OpenAPI document."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from callsheet.domain.schedules import RunOutcome, Schedule, ScheduleRun
from callsheet.domain.statuses import ExecutionStatus

_AT = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
_EXECUTION = UUID("019ab1f0-0000-7000-8000-000000000001")

_RUN = ScheduleRun(
    due_at=_AT,
    decided_at=_AT + timedelta(seconds=0.4),
    outcome=RunOutcome.STARTED,
    reason=None,
    is_manual=False,
    execution_id=_EXECUTION,
    execution_status=ExecutionStatus.SUCCEEDED,
)
_REQUEST = {
    "cron": "30 6 * * 1-5",
    "timeZone": "Europe/Berlin",
    "plan": "vertical-ad",
    "inputs": {"brief": "A fold-up bicycle for commuters"},
}
_SCHEDULE = Schedule.model_validate(
    {
        **_REQUEST,
        "name": "morning-ad",
        "origin": "api",
        "pausedAt": None,
        "nextDueAt": _AT + timedelta(days=1),
        "nextStartAt": _AT + timedelta(days=1),
        "lastRun": _RUN,
        "createdAt": _AT - timedelta(days=9),
        "createdBy": "CALLSHEET_API_KEY",
        "updatedAt": _AT - timedelta(days=9),
    }
)


def _response(example: Any) -> dict[str, Any]:
    return {"description": "Done", "content": {"application/json": {"example": example}}}


schedule = _response(_SCHEDULE.model_dump(mode="json"))
schedule_list = _response({"schedules": [_SCHEDULE.model_dump(mode="json")]})
runs = _response({"runs": [_RUN.model_dump(mode="json")]})
started = _response({"executionId": str(_EXECUTION)})
requests = {
    "stored plan": {"summary": "A stored plan on weekdays", "value": _REQUEST},
    "interval": {
        "summary": "A plan every six hours, one execution at a time",
        "value": {
            "every": "6h",
            "jitter": "5m",
            "overlap": "wait",
            "executionPlan": {"jobs": [{"id": "watch", "operation": "monitor-fatigue"}]},
        },
    },
}
