"""The gallery of artifacts: newest first, found by a text, or like one of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from callsheet.console.filter_fields import IdField, query_of
from callsheet.console.responses import RuntimeDep, page_response
from callsheet.domain.records import StoredArtifact
from callsheet.engine.reads.artifacts import ArtifactFilter, get_artifact, list_artifacts
from callsheet.engine.reads.found_artifacts import search_artifacts, similar_artifacts
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/artifacts")

_PAGE_SIZE = 24
_KINDS = ("video", "image", "audio", "text", "application")


@router.get("")
async def page(
    request: Request,
    runtime: RuntimeDep,
    execution: IdField = None,
    kind: Annotated[str | None, Query(pattern=f"^({'|'.join(_KINDS)})?$")] = None,
    search: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    like: IdField = None,
    before: UUID | None = None,
) -> Response:
    """Show a page of artifacts. Their images and videos load when they come into view."""
    filters = ArtifactFilter(execution, kind or None)
    example = await get_artifact(runtime.database, like, runtime.sign) if like else None
    found = await _found(runtime, filters, search.strip(), like, before)
    last = found[_PAGE_SIZE - 1].artifact_id if len(found) > _PAGE_SIZE and not like else None
    return page_response(
        request,
        "artifacts.html",
        files=found[:_PAGE_SIZE],
        filters=filters,
        search=search,
        example=example,
        kinds=_KINDS,
        first_query=query_of(request, before=None),
        older_query=query_of(request, before=last) if last else None,
        first=before is None,
    )


async def _found(
    runtime: Runtime, filters: ArtifactFilter, search: str, like: UUID | None, before: UUID | None
) -> list[StoredArtifact]:
    """Return the artifacts of a page, and one more if there is another page."""
    if like is not None:
        return await similar_artifacts(runtime.reads, like, runtime.sign, limit=_PAGE_SIZE)
    if search:
        return await search_artifacts(runtime.reads, search, filters, runtime.sign, before=before, limit=_PAGE_SIZE + 1)
    return await list_artifacts(runtime.reads, filters, runtime.sign, before=before, limit=_PAGE_SIZE + 1)
