"""What the next clean-up deletes, and the files in the storage that nothing names."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from callsheet.api import examples_clean_up as examples
from callsheet.api.cursors import Limit
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.engine.retention.orphans import (
    OrphanedFile,
    OrphanSearch,
    list_orphans,
    newest_orphan_search,
    request_orphan_deletion,
    start_orphan_search,
)
from callsheet.engine.retention.preview import CleanUpPreview, preview_everything

router = APIRouter(prefix="/api/clean-up", tags=["schedules"])

After = Annotated[str, Query(max_length=1024, pattern=r"^[^\x00]*$", description="`nextAfter` of the previous page")]


class OrphanPage(Model):
    """One page of the files that nothing names, by their keys."""

    files: list[OrphanedFile]
    next_after: str | None = Field(description="Value of `after` for the next page; null: this is the last page")


@router.get(
    "",
    name="preview_clean_up",
    summary="Preview the clean-up",
    responses={**problem_responses(), 200: examples.preview},
)
async def preview(runtime: RuntimeDep) -> CleanUpPreview:
    """Return what the clean-up would delete now, and the room that this gives, in bytes.

    These are executions with their files, temporary files of each machine as it has measured them last, and the result
    of the newest search for orphans. `POST /api/schedules/clean-up/run` starts the clean-up of executions and temporary
    files.
    """
    return await preview_everything(runtime.database, runtime.settings.retention)


@router.post(
    "/orphans",
    name="search_orphans",
    summary="Search for orphaned files",
    status_code=202,
    responses={**problem_responses(), 202: examples.started_search},
)
async def search(runtime: RuntimeDep, caller: CallerDep, response: Response) -> OrphanSearch:
    """Start a search of the storage for files of Callsheet that nothing names. Nothing is deleted.

    A server lists the whole storage, and compares it with the tables; `GET` shows how far it is. While one is at work,
    that one is returned. The result of the search before is forgotten.
    """
    response.headers["Location"] = "/api/clean-up/orphans"
    return await start_orphan_search(
        runtime.database, min_age=runtime.settings.orphan_min_age, requested_by=caller.name
    )


@router.get(
    "/orphans",
    name="read_orphan_search",
    summary="Read the search for orphaned files",
    responses={**problem_responses(404), 200: examples.search},
)
async def read(runtime: RuntimeDep) -> OrphanSearch:
    """Return the newest search, how far it is, and what it has found. 404 if the storage was never searched."""
    return await newest_orphan_search(runtime.database)


@router.get(
    "/orphans/{search_id}/files",
    name="list_orphans",
    summary="List orphaned files",
    responses={**problem_responses(404, 422), 200: examples.files},
)
async def list_files(search_id: UUID, runtime: RuntimeDep, after: After = "", limit: Limit = 100) -> OrphanPage:
    """Return a page of the files that a search has found and that are not deleted, by their keys."""
    found = await list_orphans(runtime.database, search_id, after=after, limit=limit + 1)
    page = found[:limit]
    return OrphanPage(files=page, next_after=page[-1].key if len(found) > limit else None)


@router.post(
    "/orphans/{search_id}/delete",
    name="delete_orphans",
    summary="Delete orphaned files",
    status_code=202,
    responses={**problem_responses(404, 409), 202: examples.deletion},
)
async def delete(search_id: UUID, runtime: RuntimeDep, caller: CallerDep, response: Response) -> OrphanSearch:
    """Delete the files that the newest search has found. A server does it in parts; `GET` shows how far it is.

    Each file is verified once more: one that was stored again or named meanwhile stays.
    """
    response.headers["Location"] = "/api/clean-up/orphans"
    return await request_orphan_deletion(runtime.database, search_id, requested_by=caller.name)
