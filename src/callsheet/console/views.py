"""Saved views of the list of executions: save and delete them. The list itself shows them."""

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from callsheet.console.execution_filters import Filters
from callsheet.console.responses import CheckedForm, RuntimeDep
from callsheet.domain.callers import Caller
from callsheet.domain.errors import Problem, ProblemList
from callsheet.domain.saved_views import ExecutionView, ListName, SavedView, ViewName
from callsheet.engine.reads.executions import ExecutionFilter
from callsheet.engine.saved_views import delete_view, list_views, save_view
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/views")

_LIST: ListName = "executions"
_NAME: TypeAdapter[str] = TypeAdapter(ViewName)


@dataclass(frozen=True, slots=True)
class ShownView:
    """A view as a link to the list."""

    view: SavedView
    query: str
    is_current: bool


async def views_of(runtime: Runtime, caller: Caller, filters: ExecutionFilter) -> list[ShownView]:
    """Return the views of the list that a caller sees. One with the same filters as the page is the current one."""
    current = _filter_of(filters)
    return [
        ShownView(view, urlencode(view.filter, doseq=True), view.filter == current)
        for view in await list_views(runtime.database, caller, _LIST)
    ]


@router.post("")
async def save(request: Request, form: CheckedForm, filters: Filters, runtime: RuntimeDep) -> Response:
    """Save the filters of the address under a name."""
    name = _name(form)
    view = await save_view(
        runtime.database, request.state.caller, _LIST, name, _filter_of(filters), shared="shared" in form
    )
    return RedirectResponse(f"/executions?{urlencode(view.filter, doseq=True)}", 303)


@router.post("/delete")
async def delete(request: Request, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Delete a view."""
    await delete_view(runtime.database, request.state.caller, _LIST, _name(form), shared="shared" in form)
    return RedirectResponse("/executions", 303)


def _name(form: dict[str, str]) -> str:
    try:
        return _NAME.validate_python(form.get("name", "").strip())
    except ValidationError:
        message = "a name has 1 to 60 characters without slashes and control characters"
        raise ProblemList([Problem("name", "bad_value", message)], "1 problem in the form") from None


def _filter_of(filters: ExecutionFilter) -> dict[str, Any]:
    """Return filters with the names of the API, and values as in JSON."""
    given = asdict(filters)
    given["status"] = given.pop("statuses")
    fields = {name: value for name, value in given.items() if value is not None}
    return ExecutionView(**fields).model_dump(mode="json", exclude_none=True)
