"""Description of the webhooks that Callsheet sends, for the section `webhooks` of the OpenAPI document."""

from typing import Annotated

from fastapi import APIRouter, Header

from callsheet.notify.payload_schema import ExecutionWebhook

router = APIRouter(tags=["webhooks"])


@router.post(
    "execution-ended",
    name="execution_ended",
    summary="An execution has ended",
    status_code=204,
    responses={204: {"description": "Any status 2xx confirms the delivery. Other responses cause a retry, except 410"}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ExecutionWebhook.__name__}"}}},
        }
    },
)
async def execution_ended(
    webhook_id: Annotated[str, Header(description="The same for each delivery of this webhook")],
    webhook_timestamp: Annotated[str, Header(description="Unix time of the delivery, in seconds")],
    webhook_signature: Annotated[str, Header(description="`v1,` and the signature (Standard Webhooks)")],
) -> None:
    """Callsheet posts this to the `callbackUrl` of an execution that has ended: succeeded, failed or cancelled."""
