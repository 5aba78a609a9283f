"""Webhooks of providers. Each has its own token, and most are signed, so they need no API key."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import BadWebhook, TooLarge
from callsheet.domain.model import Model

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])


class WebhookReceipt(Model):
    """The call has arrived; what it leads to happens later."""

    received: bool = True


@router.post(
    "/job/{job_record_id}",
    name="receive_provider_webhook",
    summary="Take a provider's webhook",
    responses={
        **problem_responses(401, 413),
        200: {"description": "Arrived", "content": {"application/json": {"example": {"received": True}}}},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {"id": "gm3qorzdhg", "status": "succeeded"},
                }
            },
        }
    },
)
async def receive_provider_webhook(
    job_record_id: UUID,
    request: Request,
    runtime: RuntimeDep,
    token: Annotated[str, Query(description="As in the address that the provider was given", max_length=200)] = "",
) -> WebhookReceipt:
    """Providers call this address when a task has ended.

    The call is checked by its token and, where the provider signs, by its signature. It counts as a hint to look at
    the task: what it says is not believed, and one that comes late, twice or for a job that is gone changes nothing.
    """
    if not token:
        raise BadWebhook("The address holds no valid token.")
    body = await _read(request, runtime.settings.webhook_max_bytes)
    await runtime.webhook_inbox().receive(job_record_id, token, request.headers, body)
    return WebhookReceipt()


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge(f"The body has more than the {most:,} bytes that are accepted.")
    return bytes(body)
