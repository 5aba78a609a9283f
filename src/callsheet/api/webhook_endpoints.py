"""Webhook endpoints: create, list, change, delete and test them, and rotate their secrets."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import Field

from callsheet.api import examples_webhooks as examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.durations import Duration
from callsheet.domain.model import Model
from callsheet.notify.deliveries import DeliveryWithAttempts, get_delivery
from callsheet.notify.endpoints import (
    Endpoint,
    EndpointChange,
    EndpointRequest,
    EndpointWithSecret,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    rotate_secret,
    send_test,
)

router = APIRouter(prefix="/api/webhook-endpoints", tags=["webhooks"])

_DAY = timedelta(days=1)


class EndpointList(Model):
    """The endpoints."""

    endpoints: list[Endpoint] = Field(description="Oldest first")


class Rotation(Model):
    """How to rotate a secret."""

    overlap: Duration = Field(
        _DAY,
        ge=timedelta(0),
        le=timedelta(days=30),
        description="Time for which the previous secret signs too; 0: it is invalid at once",
    )


@router.post(
    "",
    status_code=201,
    name="create_webhook_endpoint",
    summary="Create a webhook endpoint",
    responses={**problem_responses(409, 422), 201: examples.endpoint_with_secret},
)
async def create(
    request: Annotated[EndpointRequest, Body(openapi_examples=examples.endpoint_requests)], runtime: RuntimeDep
) -> EndpointWithSecret:
    """Send chosen events to a URL, from now on. The response has the secret, which is not shown again."""
    return await create_endpoint(runtime.database, request, key=runtime.key, settings=runtime.settings)


@router.get(
    "",
    name="list_webhook_endpoints",
    summary="List webhook endpoints",
    responses={**problem_responses(), 200: examples.endpoint_list},
)
async def list_all(runtime: RuntimeDep) -> EndpointList:
    """Return all endpoints, without their secrets."""
    return EndpointList(endpoints=await list_endpoints(runtime.database))


@router.get(
    "/{endpoint_id}",
    name="read_webhook_endpoint",
    summary="Read a webhook endpoint",
    responses={**problem_responses(404), 200: examples.endpoint},
)
async def read(endpoint_id: UUID, runtime: RuntimeDep) -> Endpoint:
    """Return an endpoint, without its secret."""
    return await get_endpoint(runtime.database, endpoint_id)


@router.patch(
    "/{endpoint_id}",
    name="change_webhook_endpoint",
    summary="Change a webhook endpoint",
    responses={**problem_responses(404, 422), 200: examples.endpoint},
)
async def change(
    endpoint_id: UUID,
    request: Annotated[EndpointChange, Body(openapi_examples=examples.endpoint_changes)],
    runtime: RuntimeDep,
) -> Endpoint:
    """Change the URL, the description or the types of events, and disable or enable the endpoint.

    Webhooks that wait go to the new URL. No webhooks are written for a disabled endpoint.
    """
    return await change_endpoint(runtime.database, endpoint_id, request, runtime.settings)


@router.delete(
    "/{endpoint_id}",
    status_code=204,
    name="delete_webhook_endpoint",
    summary="Delete a webhook endpoint",
    responses={**problem_responses(404), 204: {"description": "Deleted"}},
)
async def delete(endpoint_id: UUID, runtime: RuntimeDep) -> None:
    """Delete an endpoint with its webhooks, also those that wait to be sent."""
    await delete_endpoint(runtime.database, endpoint_id)


@router.post(
    "/{endpoint_id}/test",
    status_code=202,
    name="test_webhook_endpoint",
    summary="Test a webhook endpoint",
    responses={**problem_responses(404, 409), 202: examples.delivery},
)
async def test(endpoint_id: UUID, runtime: RuntimeDep) -> DeliveryWithAttempts:
    """Send a webhook of type `webhook.test`, as any other. Its id leads to the attempts."""
    return await get_delivery(runtime.database, await send_test(runtime.database, endpoint_id))


@router.post(
    "/{endpoint_id}/rotate-secret",
    name="rotate_webhook_secret",
    summary="Rotate the secret of a webhook endpoint",
    responses={**problem_responses(404, 422), 200: examples.endpoint_with_secret},
)
async def rotate(
    endpoint_id: UUID,
    runtime: RuntimeDep,
    rotation: Annotated[Rotation | None, Body(openapi_examples=examples.rotations)] = None,
) -> EndpointWithSecret:
    """Make a new secret, and return it. It is not shown again.

    During the overlap, by default one day, each message has two signatures, by the new and by the previous secret.
    """
    overlap = rotation.overlap if rotation else _DAY
    return await rotate_secret(runtime.database, endpoint_id, key=runtime.key, overlap=overlap)
