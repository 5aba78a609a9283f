"""The page of intakes."""

from fastapi import APIRouter, Request, Response

from callsheet.console.fragments import Fragment, rows_of
from callsheet.console.responses import RuntimeDep, page_response
from callsheet.console.shared_pages import shared_stream
from callsheet.engine.reads.intakes import list_intakes
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/intakes")

_REFRESH_SECONDS = 2.0


@router.get("")
async def page(request: Request, runtime: RuntimeDep) -> Response:
    """Show the processes that take messages from other queues."""
    return page_response(request, "intakes.html", rows=await _rows(runtime))


@router.get("/stream")
async def stream(request: Request, runtime: RuntimeDep) -> Response:
    """Stream the changed intakes."""
    return shared_stream(request, lambda _: _rows(runtime), every=_REFRESH_SECONDS)


async def _rows(runtime: Runtime) -> list[Fragment]:
    return rows_of("fleet_parts.html", "intake", await list_intakes(runtime.database), "intakes")
