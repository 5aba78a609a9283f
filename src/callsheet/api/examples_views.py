"""Examples of saved views for the OpenAPI document."""

from datetime import UTC, datetime
from typing import Any

from callsheet.domain.model import Model
from callsheet.domain.saved_views import SavedView

_FILTER = {"status": ["failed"], "operation": "render"}
_VIEW = SavedView(
    list="executions",
    name="Failed renders",
    shared=True,
    filter=_FILTER,
    created_by="ada",
    created_at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
)


def _response(description: str, record: Any) -> dict[str, Any]:
    content = record.model_dump(mode="json") if isinstance(record, Model) else record
    return {"description": description, "content": {"application/json": {"example": content}}}


view = _response("The saved view", _VIEW)
views = _response("The views", {"views": [_VIEW.model_dump(mode="json")]})
requests = {
    "shared": {"summary": "For everyone", "value": {"filter": _FILTER, "shared": True}},
    "own": {"summary": "For me alone", "value": {"filter": {"createdAfter": "2026-11-22T00:00:00Z"}}},
}
