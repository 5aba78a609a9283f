"""Read approvals."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.approvals import Approval, ApprovalStatus
from callsheet.domain.errors import NotFound
from callsheet.domain.records import StoredArtifact
from callsheet.engine.reads.artifacts import SignUrl, stored_artifact
from callsheet.files.approval_links import SignApproval

_COLUMNS = (
    *("id", "execution_id", "job_id", "job_record_id", "status", "title", "text", "deadline", "default", "on_reject"),
    *("created_at", "by", "comment", "decided_at", "how"),
)


async def get_approval(database: Database, approval_id: UUID, sign: SignUrl, link: SignApproval) -> Approval:
    """Return an approval. Raises NotFound."""

    async def read(connection: Connection) -> Approval | None:
        row = await sql.get_approval(connection, id=approval_id)
        return None if row is None else (await _records(connection, [row], sign, link))[0]

    found = await database.retry(read, timeout=5)
    if found is None:
        raise NotFound(f"There is no approval {approval_id}.")
    return found


async def list_approvals(
    database: Database,
    status: ApprovalStatus | None,
    sign: SignUrl,
    link: SignApproval,
    *,
    before: UUID | None,
    limit: int,
) -> list[Approval]:
    """Return one page of approvals, newest first. `before` is the last id of the previous page."""

    async def read(connection: Connection) -> list[Approval]:
        rows = await sql.list_approvals(connection, status=status, before=before, limit=limit)
        return await _records(connection, rows, sign, link)

    return await database.retry(read, timeout=5)


async def _records(
    connection: Connection, rows: Sequence[Mapping[str, Any]], sign: SignUrl, link: SignApproval
) -> list[Approval]:
    ids = {artifact for row in rows for artifact in row["previews"]}
    files = {}
    if ids:
        found = await sql.approval_previews(connection, ids=list(ids))
        files = {row["id"]: stored_artifact(row, sign) for row in found}
    return [_record(row, files, link) for row in rows]


def _record(row: Mapping[str, Any], files: Mapping[UUID, StoredArtifact], link: SignApproval) -> Approval:
    is_open = row["status"] == ApprovalStatus.OPEN
    return Approval(
        **{name: row[name] for name in _COLUMNS},
        previews=[files[each] for each in row["previews"] if each in files],
        url=link(row["id"], row["deadline"]) if is_open else None,
    )
