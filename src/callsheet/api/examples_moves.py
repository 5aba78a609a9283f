"""Examples of bulk actions and of moves of jobs for the OpenAPI document."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from callsheet.domain.bulk_actions import BulkAction, BulkExample, BulkFailure, BulkFilter, BulkKind, BulkPreview
from callsheet.domain.model import Model
from callsheet.domain.records import JobSummary, ListedError
from callsheet.domain.statuses import ExecutionStatus, JobStatus

_AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
_EXECUTION = UUID("019ab1f0-0000-7000-8000-000000000001")
_RUNNING = BulkAction(
    id=UUID("019ab1f0-0000-7000-8000-000000000011"),
    action=BulkKind.RETRY,
    filter=BulkFilter(status=[ExecutionStatus.FAILED], operation="generate", queue="generate"),
    status="running",
    matched=1234,
    processed=0,
    changed=0,
    unchanged=0,
    failed=0,
    failures=[],
    requested_by="mia",
    created_at=_AT,
    finished_at=None,
)
_FINISHED = _RUNNING.model_copy(
    update={
        "status": "finished",
        "processed": 1234,
        "changed": 1230,
        "unchanged": 3,
        "failed": 1,
        "failures": [
            BulkFailure(
                execution_id=_EXECUTION,
                code="budget_exceeded",
                message="The monthly budget of the API key is $250.00; nothing was retried.",
            )
        ],
        "finished_at": _AT,
    }
)


def _response(example: Model | dict[str, Any], description: str = "Done") -> dict[str, Any]:
    value = example.model_dump(mode="json") if isinstance(example, Model) else example
    return {"description": description, "content": {"application/json": {"example": value}}}


bulk_requests = {
    "retry": {
        "summary": "Retry all failed executions of an operation",
        "value": {"action": "retry", "filter": {"status": ["failed"], "operation": "generate"}},
    },
    "cancel": {
        "summary": "Cancel what an intake has taken from a queue",
        "value": {"action": "cancel", "filter": {"source": "video-generation"}},
    },
    "empty": {
        "summary": "Cancel the jobs of a queue that have not started",
        "value": {"action": "empty_queue", "filter": {"queue": "preview"}},
    },
}
bulk_preview = _response(
    BulkPreview(
        action=BulkKind.RETRY,
        matched=1234,
        counts={ExecutionStatus.FAILED: 1234},
        examples=[BulkExample(execution_id=_EXECUTION, name="Trailer", status=ExecutionStatus.FAILED)],
        up_to=_RUNNING.id,
    )
)
running_bulk_action = _response(_RUNNING, "Accepted")
bulk_action = _response(_FINISHED)
stopped_bulk_action = _response(_RUNNING.model_copy(update={"status": "stopped", "finished_at": _AT}))
bulk_action_page = _response({"bulkActions": [_FINISHED.model_dump(mode="json")], "nextCursor": None})

queue_choices = {"preview": {"summary": "Run it on the workers of previews", "value": {"queue": "preview"}}}
priority_choices = {"urgent": {"summary": "Before all others", "value": {"priority": 1000}}}
start_choices = {"tonight": {"summary": "This evening", "value": {"startAt": "2026-12-24T18:00:00Z"}}}
job_page = _response(
    {
        "jobs": [
            JobSummary(
                id=UUID("019ab1f0-0000-7000-8000-000000000002"),
                execution_id=_EXECUTION,
                job_id="trailer",
                operation="render",
                queue="render",
                status=JobStatus.FAILED,
                priority=10,
                progress=0.4,
                error=ListedError(code="ffmpeg_failed", message="FFmpeg ended with status 1."),
                attempts=3,
                max_attempts=3,
                worker="gpu@box",
                created_at=_AT,
                queued_at=_AT,
                started_at=_AT,
                finished_at=_AT,
                actions=["retry"],
                moves=[],
            ).model_dump(mode="json")
        ],
        "nextCursor": None,
    }
)
