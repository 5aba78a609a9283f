"""Examples of approvals for the OpenAPI document."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from callsheet.domain.approvals import Approval, ApprovalStatus

_AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
_ID = UUID("019ab1f0-0000-7000-8000-000000000009")

_APPROVAL = Approval(
    id=_ID,
    execution_id=UUID("019ab1f0-0000-7000-8000-000000000001"),
    job_id="review",
    job_record_id=UUID("019ab1f0-0000-7000-8000-000000000002"),
    status=ApprovalStatus.OPEN,
    title="Publish this trailer?",
    text="It goes to all channels.",
    previews=[],
    deadline=_AT + timedelta(days=1),
    default="reject",
    on_reject="fail",
    created_at=_AT,
    by=None,
    comment=None,
    decided_at=None,
    how=None,
    url=f"https://callsheet.example.com/approvals/{_ID}?expires=1795426201&sig=kGh2…",
)
_DECIDED = _APPROVAL.model_copy(
    update={
        "status": ApprovalStatus.APPROVED,
        "by": "Mia",
        "comment": "Good.",
        "decided_at": _AT + timedelta(hours=2),
        "how": "api",
        "url": None,
    }
)


def _response(example: Any) -> dict[str, Any]:
    return {"description": "Done", "content": {"application/json": {"example": example}}}


approval = _response(_APPROVAL.model_dump(mode="json"))
decided_approval = _response(_DECIDED.model_dump(mode="json"))
approval_page = _response({"approvals": [_APPROVAL.model_dump(mode="json")], "nextCursor": None})
decisions = {"yes": {"summary": "With a comment", "value": {"by": "Mia", "comment": "Good."}}}
