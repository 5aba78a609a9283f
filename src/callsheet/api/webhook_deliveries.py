"""Webhook deliveries: list and read them, and send them again."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query
from pydantic import AwareDatetime, Field

from callsheet.api import examples_webhooks as examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.model import Model
from callsheet.notify.deliveries import (
    MAX_RESENT,
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    DeliveryWithAttempts,
    get_delivery,
    list_deliveries,
    resend,
    resend_failed,
)

router = APIRouter(prefix="/api/webhook-deliveries", tags=["webhooks"])

_MAX_NUMBER = 2**63 - 1


class DeliveryPage(Model):
    """A page of webhooks."""

    deliveries: list[Delivery] = Field(description="Newest first")
    next_cursor: str | None = Field(description="Cursor of the next page; null: this is the last page")


class ResendRequest(Model):
    """Which failed webhooks to send again."""

    since: AwareDatetime = Field(description="Those that failed at this time or later", examples=["2026-11-22T09:00Z"])
    endpoint_id: UUID | None = Field(None, description="Only those of this endpoint")


class Resent(Model):
    """How many webhooks are sent again."""

    resent: int = Field(description=f"At most {MAX_RESENT:,}: repeat the request until it is 0")


@router.get(
    "",
    name="list_webhook_deliveries",
    summary="List webhook deliveries",
    responses={**problem_responses(400, 422), 200: examples.delivery_page},
)
async def list_all(
    runtime: RuntimeDep,
    endpoint_id: Annotated[UUID | None, Query(alias="endpointId")] = None,
    execution_id: Annotated[UUID | None, Query(alias="executionId")] = None,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DeliveryPage:
    """Return a page of webhooks to callback URLs, to endpoints and to the alert URL, newest first."""
    # At most a bigint: the cursor may be that of another list.
    before = min(decode_cursor(runtime.key, cursor).int, _MAX_NUMBER) if cursor else None
    matching = DeliveryFilter(endpoint_id=endpoint_id, execution_id=execution_id, status=status)
    found = await list_deliveries(runtime.reads, matching, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda delivery: UUID(int=delivery.number))
    return DeliveryPage(deliveries=page, next_cursor=more)


@router.get(
    "/{delivery_id}",
    name="read_webhook_delivery",
    summary="Read a webhook delivery",
    responses={**problem_responses(404), 200: examples.delivery},
)
async def read(delivery_id: UUID, runtime: RuntimeDep) -> DeliveryWithAttempts:
    """Return a webhook with every attempt: time, response, duration."""
    return await get_delivery(runtime.database, delivery_id)


@router.post(
    "/resend",
    status_code=202,
    name="resend_failed_webhooks",
    summary="Send failed webhooks again",
    responses={**problem_responses(422), 202: examples.resent},
)
async def resend_all(
    request: Annotated[ResendRequest, Body(openapi_examples=examples.resend_requests)], runtime: RuntimeDep
) -> Resent:
    """Send again all webhooks that failed since a time, except those of disabled endpoints."""
    since = comparable_time(request.since)
    return Resent(resent=await resend_failed(runtime.database, since=since, endpoint_id=request.endpoint_id))


@router.post(
    "/{delivery_id}/resend",
    status_code=202,
    name="resend_webhook",
    summary="Send a webhook again",
    responses={**problem_responses(404, 409), 202: examples.delivery},
)
async def resend_one(delivery_id: UUID, runtime: RuntimeDep) -> DeliveryWithAttempts:
    """Send a webhook again now, delivered or not, with the same id and contents."""
    return await resend(runtime.database, delivery_id)
