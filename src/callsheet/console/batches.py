"""Actions on batches, beside the list of their executions."""

from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from callsheet.console.responses import CheckedForm, RuntimeDep
from callsheet.engine.jobs.batch_cancellation import request_batch_cancel
from callsheet.engine.jobs.batches import retry_batch
from callsheet.engine.jobs.owners import limits_of

router = APIRouter(prefix="/console/batches")


@router.post("/{batch_id}/cancel")
async def cancel(batch_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Request that the executions of a batch that have not ended are cancelled."""
    del form
    await request_batch_cancel(runtime.database, batch_id)
    return RedirectResponse(f"/executions?batch={batch_id}", 303)


@router.post("/{batch_id}/retry")
async def retry(batch_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Retry the failed and cancelled executions of a batch."""
    del form
    await retry_batch(runtime.database, batch_id, limits=limits_of(runtime.settings))
    return RedirectResponse(f"/executions?batch={batch_id}", 303)
