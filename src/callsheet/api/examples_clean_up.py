"""Examples of the clean-up for the OpenAPI document."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from callsheet.domain.model import Model
from callsheet.engine.retention.orphans import OrphanedFile, OrphanSearch, OrphanStatus
from callsheet.engine.retention.preview import CleanUpPreview, MachineFiles, TemporaryFilesPreview

_AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
_MACHINE = MachineFiles(
    host="render-1",
    folder="/var/lib/callsheet/work",
    measured_at=_AT,
    bytes=4_831_838_208,
    live_bytes=3_221_225_472,
    removable_files=14,
    removable_bytes=1_610_612_736,
    max_bytes=50_000_000_000,
    cleaned_at=_AT - timedelta(days=1),
    removed_files=3,
    removed_bytes=734_003_200,
)
_FOUND = OrphanSearch(
    id=UUID("019ab1f0-0000-7000-8000-0000000000a1"),
    status=OrphanStatus.FOUND,
    modified_before=_AT - timedelta(days=2),
    listed=120_340,
    files=12,
    bytes=1_288_490_188,
    deleted=0,
    deleted_bytes=0,
    kept=0,
    error=None,
    requested_by="operator",
    created_at=_AT,
    found_at=_AT + timedelta(seconds=21),
    finished_at=None,
)
_SEARCHING = _FOUND.model_copy(
    update={"status": OrphanStatus.SEARCHING, "listed": 41_000, "files": 0, "bytes": 0, "found_at": None}
)
_FILE = OrphanedFile(
    key="render/019aa0c2-0000-7000-8000-000000000007/2/final.mp4", size=48_318_382, modified_at=_AT - timedelta(days=9)
)


def _example(description: str, value: Model) -> dict[str, Any]:
    shown = value.model_dump(mode="json", by_alias=True)
    return {"description": description, "content": {"application/json": {"example": shown}}}


preview = _example(
    "Done",
    CleanUpPreview(
        executions=1200,
        files=3100,
        bytes=48_318_382_080,
        temporary_files=TemporaryFilesPreview(files=14, bytes=1_610_612_736, machines=[_MACHINE]),
        orphans=_FOUND,
    ),
)
search = _example("Found", _FOUND)
started_search = _example("Accepted", _SEARCHING)
deletion = _example("Accepted", _FOUND.model_copy(update={"status": OrphanStatus.DELETING}))
files: dict[str, Any] = {
    "description": "Done",
    "content": {
        "application/json": {"example": {"files": [_FILE.model_dump(mode="json", by_alias=True)], "nextAfter": None}}
    },
}
