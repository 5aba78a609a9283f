"""Saved views: named filters of the lists of executions and jobs."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field

from callsheet.api import examples_views as examples
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.saved_views import ListName, SavedView, ViewName
from callsheet.engine.saved_views import delete_view, list_views, save_view

router = APIRouter(prefix="/api/views", tags=["views"])

_List = Annotated[ListName, Path(alias="list", description="The list that it filters")]
_Name = Annotated[ViewName, Path(description="Name of the view", examples=["Failed renders"])]


class ViewList(Model):
    """Saved views."""

    views: list[SavedView] = Field(description="By list and name")


class ViewRequest(Model):
    """A view to save."""

    filter: dict[str, Any] = Field(description="Parameters of the list, with their names and values in the API")
    shared: bool = Field(False, description="Whether everyone sees it; this needs the scope `operate`")


@router.get(
    "", name="list_views", summary="List saved views", responses={**problem_responses(422), 200: examples.views}
)
async def list_all(
    runtime: RuntimeDep,
    caller: CallerDep,
    of: Annotated[ListName | None, Query(alias="list", description="Only views of this list")] = None,
) -> ViewList:
    """Return the views of the user or the key that asks, and those that are shared."""
    return ViewList(views=await list_views(runtime.database, caller, of))


@router.put(
    "/{list}/{name}",
    name="save_view",
    summary="Save a view",
    responses={**problem_responses(403, 404, 409, 422), 200: examples.view},
)
async def put(
    of: _List,
    name: _Name,
    request: Annotated[ViewRequest, Body(openapi_examples=examples.requests)],
    runtime: RuntimeDep,
    caller: CallerDep,
) -> SavedView:
    """Save a filter under a name, or replace the view of this name. A view and a shared one may have the same name."""
    return await save_view(runtime.database, caller, of, name, request.filter, shared=request.shared)


@router.delete(
    "/{list}/{name}",
    status_code=204,
    name="delete_view",
    summary="Delete a view",
    responses=problem_responses(403, 404, 422),
)
async def delete(
    of: _List,
    name: _Name,
    runtime: RuntimeDep,
    caller: CallerDep,
    shared: Annotated[bool, Query(description="The shared view of this name, instead of the own one")] = False,
) -> None:
    """Delete a view. What it showed stays."""
    await delete_view(runtime.database, caller, of, name, shared=shared)
