"""Pages of webhooks: endpoints and deliveries, and one delivery with its attempts."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.filter_fields import OR_NONE, IdField, query_of
from callsheet.console.responses import CheckedForm, RuntimeDep, page_response
from callsheet.notify.deliveries import DeliveryFilter, DeliveryStatus, get_delivery, list_deliveries, resend
from callsheet.notify.endpoints import EndpointChange, change_endpoint, list_endpoints, send_test

router = APIRouter(prefix="/console/webhooks")

_PAGE_SIZE = 50
_STATUSES = ("pending", "delivered", "failed")


@router.get("")
async def page(
    request: Request,
    runtime: RuntimeDep,
    endpoint: IdField = None,
    status: Annotated[DeliveryStatus | None, OR_NONE] = None,
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Response:
    """Show the endpoints, and a page of deliveries, newest first."""
    filters = DeliveryFilter(endpoint_id=endpoint, status=status)
    found = await list_deliveries(runtime.reads, filters, before=before, limit=_PAGE_SIZE + 1)
    last = found[_PAGE_SIZE - 1].number if len(found) > _PAGE_SIZE else None
    return page_response(
        request,
        "webhooks.html",
        endpoints=await list_endpoints(runtime.database),
        deliveries=found[:_PAGE_SIZE],
        filters=filters,
        statuses=_STATUSES,
        first_query=query_of(request, before=None),
        older_query=query_of(request, before=last) if last else None,
        first=before is None,
    )


@router.get("/deliveries/{delivery_id}")
async def delivery_page(request: Request, delivery_id: UUID, runtime: RuntimeDep) -> Response:
    """Show a delivery with every attempt."""
    return page_response(request, "delivery.html", delivery=await get_delivery(runtime.database, delivery_id))


@router.post("/deliveries/{delivery_id}/resend")
async def send_again(delivery_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Send a webhook again now."""
    del form
    return _redirect_to((await resend(runtime.database, delivery_id)).id)


@router.post("/endpoints/{endpoint_id}/{action}")
async def change(
    endpoint_id: UUID, action: Literal["enable", "disable", "test"], form: CheckedForm, runtime: RuntimeDep
) -> Response:
    """Enable, disable or test an endpoint."""
    del form
    if action == "test":
        return _redirect_to(await send_test(runtime.database, endpoint_id))
    enabled = EndpointChange(enabled=action == "enable")
    await change_endpoint(runtime.database, endpoint_id, enabled, runtime.settings)
    return RedirectResponse("/console/webhooks", 303)


def _redirect_to(delivery_id: UUID) -> RedirectResponse:
    return RedirectResponse(f"/console/webhooks/deliveries/{delivery_id}", 303)
