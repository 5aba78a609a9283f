"""Saved views of the lists: save and delete them. The lists themselves show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from callsheet.console import execution_filters, job_filters
from callsheet.console.execution_filters import Filters
from callsheet.console.job_filters import JobFilters
from callsheet.console.responses import CheckedForm, RuntimeDep
from callsheet.domain.callers import Caller
from callsheet.domain.errors import Problem, ProblemList
from callsheet.domain.saved_views import ListName, SavedView, ViewName
from callsheet.engine.saved_views import delete_view, list_views, save_view
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/views")

_PAGES: Mapping[ListName, str] = {"executions": "/executions", "jobs": "/console/jobs"}
_NAME: TypeAdapter[str] = TypeAdapter(ViewName)


@dataclass(frozen=True, slots=True)
class ShownView:
    """A view as a link to the list."""

    view: SavedView
    query: str
    is_current: bool


async def views_of(runtime: Runtime, caller: Caller, of: ListName, current: Mapping[str, Any]) -> list[ShownView]:
    """Return the views of a list that a caller sees. One with the filters of the page is the current one."""
    return [
        ShownView(view, urlencode(view.filter, doseq=True), view.filter == current)
        for view in await list_views(runtime.database, caller, of)
    ]


@router.post("/executions")
async def save_executions(request: Request, form: CheckedForm, filters: Filters, runtime: RuntimeDep) -> Response:
    """Save the filters of the address under a name."""
    return await _save(request, form, runtime, "executions", execution_filters.view_of(filters))


@router.post("/jobs")
async def save_jobs(request: Request, form: CheckedForm, filters: JobFilters, runtime: RuntimeDep) -> Response:
    """Save the filters of the address under a name."""
    return await _save(request, form, runtime, "jobs", job_filters.view_of(filters))


@router.post("/{of}/delete")
async def delete(request: Request, of: ListName, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Delete a view."""
    await delete_view(runtime.database, request.state.caller, of, _name(form), shared="shared" in form)
    return RedirectResponse(_PAGES[of], 303)


async def _save(
    request: Request, form: dict[str, str], runtime: Runtime, of: ListName, filters: Mapping[str, Any]
) -> Response:
    name = _name(form)
    view = await save_view(runtime.database, request.state.caller, of, name, filters, shared="shared" in form)
    return RedirectResponse(f"{_PAGES[of]}?{urlencode(view.filter, doseq=True)}", 303)


def _name(form: dict[str, str]) -> str:
    try:
        return _NAME.validate_python(form.get("name", "").strip())
    except ValidationError:
        message = "a name has 1 to 60 characters without slashes and control characters"
        raise ProblemList([Problem("name", "bad_value", message)], "1 problem in the form") from None
