"""Winning ads: search, read and delete. `index-winners` stores them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.ads.winners.creatives import embedded_text
from callsheet.ads.winners.filters import MAX_FILTERS, WinnerFilter, read_filter
from callsheet.ads.winners.reads import delete_winner, reader
from callsheet.ads.winners.search import (
    MAX_OFFSET,
    Winner,
    WinnerPage,
    WinnerQuery,
    find_winner,
    search_winners,
    winner_fields,
)
from callsheet.api import examples_winners as examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import BadParams, Problem
from callsheet.embeddings.engines import find_embedder
from callsheet.operations.winner_looks import read_example
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/ads/winners", tags=["ads"])

TenantId = Annotated[Identifier, Query(alias="tenantId", description="Whose ads they are", examples=["tenant_1"])]
Conditions = Annotated[list[str], Query(max_length=MAX_FILTERS)]


async def _conditions(
    tag: Annotated[Conditions, Query(description="A tag that they have; more than one: all of them")] = [],  # noqa: B006
    attribute: Annotated[
        Conditions, Query(description="`name=value` of an attribute", examples=[["platform=meta"]])
    ] = [],  # noqa: B006
    metric: Annotated[
        Conditions, Query(description="`name>=number` or `name<=number` of a figure", examples=[["roas>=2"]])
    ] = [],  # noqa: B006
    indexed_after: Annotated[datetime | None, Query(alias="indexedAfter")] = None,
    indexed_before: Annotated[datetime | None, Query(alias="indexedBefore")] = None,
) -> WinnerFilter:
    return read_filter(
        tags=tag,
        attributes=attribute,
        metrics=metric,
        indexed_after=indexed_after,
        indexed_before=indexed_before,
    )


Filter = Annotated[WinnerFilter, Depends(_conditions)]
Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET)]


@router.get(
    "",
    name="search_winners",
    summary="Search winning ads",
    responses={**problem_responses(404, 422), 200: examples.page},
)
async def search(
    runtime: RuntimeDep,
    conditions: Filter,
    q: Annotated[
        str | None,
        Query(min_length=1, max_length=5000, description="A text of any kind; give this or `like`"),
    ] = None,
    like: Annotated[Identifier | None, Query(description="Id of an indexed ad, to find similar ones")] = None,
    tenant_id: TenantId = DEFAULT_TENANT,
    limit: Limit = 10,
    offset: Offset = 0,
) -> WinnerPage:
    """Return the indexed ads of a tenant whose facts and looks are most similar to a text, or to one of them."""
    if (q is None) == (like is None):
        raise BadParams([Problem("q", "conflicting_fields", "give q or like, and not both")], "1 problem")
    return await _found(runtime, WinnerQuery(tenant_id, q, like, limit, offset, conditions))


@router.post(
    "/similar",
    name="find_similar_winners",
    summary="Search winning ads by a picture",
    responses={**problem_responses(400, 408, 413, 422), 200: examples.page},
    openapi_extra={"requestBody": examples.picture},
)
async def similar(
    request: Request,
    runtime: RuntimeDep,
    conditions: Filter,
    q: Annotated[
        str | None, Query(min_length=1, max_length=5000, description="A text that is searched together with the look")
    ] = None,
    tenant_id: TenantId = DEFAULT_TENANT,
    limit: Limit = 10,
    offset: Offset = 0,
) -> WinnerPage:
    """Return the indexed ads that look most like a picture, which is the body. Its look is described in words."""
    look = await read_example(runtime.settings, request.stream(), "body", turns=request.app.state.picture_turns)
    text = embedded_text({} if q is None else {"text": q}, look)
    return await _found(runtime, WinnerQuery(tenant_id, text, None, limit, offset, conditions))


async def _found(runtime: Runtime, query: WinnerQuery) -> WinnerPage:
    embedder = find_embedder(runtime.settings)
    return await search_winners(reader(runtime.database), runtime.winners, embedder, query)


@router.get(
    "/{ad_id:path}",
    name="read_winner",
    summary="Read a winning ad",
    responses={**problem_responses(404, 422), 200: examples.winner},
)
async def read(ad_id: Identifier, runtime: RuntimeDep, tenant_id: TenantId = DEFAULT_TENANT) -> Winner:
    """Return what is indexed about an ad."""
    return Winner(**winner_fields(await find_winner(reader(runtime.database), tenant_id, ad_id)))


@router.delete(
    "/{ad_id:path}",
    status_code=204,
    name="delete_winner",
    summary="Delete a winning ad from the index",
    responses={**problem_responses(404, 422), 204: {"description": "Deleted"}},
)
async def delete(ad_id: Identifier, runtime: RuntimeDep, tenant_id: TenantId = DEFAULT_TENANT) -> None:
    """Delete the facts and the vector of an ad. Searches that begin later do not find it."""
    await delete_winner(runtime.database, tenant_id, ad_id)
