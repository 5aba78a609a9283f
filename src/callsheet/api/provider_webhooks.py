"""Webhooks from providers. They need no API key: the URL has a token, and most providers sign them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import BadWebhook, TooLarge
from callsheet.domain.model import Model

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])


class WebhookReceipt(Model):
    """Confirms that a webhook was stored. It is processed later."""

    received: bool = True


@router.post(
    "/jobs/{job_record_id}",
    name="receive_provider_webhook",
    summary="Receive a webhook from a provider",
    responses={
        **problem_responses(401, 404, 413),
        200: {"description": "Stored", "content": {"application/json": {"example": {"received": True}}}},
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
    token: Annotated[str, Query(description="Token from the URL that was sent to the provider", max_length=200)] = "",
) -> WebhookReceipt:
    """Receive the webhook that a provider sends when a task has ended.

    The token and, if the provider signs its webhooks, the signature are verified. A webhook only triggers a poll of
    the task; its content is not trusted. A webhook that is late, repeated or for an unknown job has no effect.
    """
    if not token:
        raise BadWebhook("The URL has no valid token.")
    body = await _read_body(request, runtime.settings.webhook_max_bytes)
    await runtime.webhook_inbox().receive(job_record_id, token, request.headers, body)
    return WebhookReceipt()


async def _read_body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"The body is larger than {max_bytes:,} bytes.")
    return bytes(body)
