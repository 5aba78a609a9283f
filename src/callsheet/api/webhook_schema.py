"""Description of the webhooks that Callsheet sends, for the section `webhooks` of the OpenAPI document."""

from typing import Annotated, Any

from fastapi import APIRouter, Header
from typing_extensions import TypeAliasType

from callsheet.domain.model import Model
from callsheet.notify.payload_schema import AdActionWebhook, AlertWebhook, EndpointTest, EventWebhook, ExecutionWebhook

router = APIRouter(tags=["webhooks"])

_Id = Annotated[str, Header(description="The same for each delivery of this webhook")]
_Timestamp = Annotated[str, Header(description="Unix time of the delivery, in seconds")]
_Signature = Annotated[
    str,
    Header(
        description="`v1,` and the signature (Standard Webhooks). While a secret is rotated there are two, with a "
        "space between them"
    ),
]


def _body(model: type[Model] | TypeAliasType) -> dict[str, Any]:
    return {
        "status_code": 204,
        "responses": {
            204: {"description": "Any status 2xx confirms the delivery. Other responses cause a retry, except 410"}
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
            }
        },
    }


@router.post("execution-ended", name="execution_ended", summary="An execution has ended", **_body(ExecutionWebhook))
async def execution_ended(webhook_id: _Id, webhook_timestamp: _Timestamp, webhook_signature: _Signature) -> None:
    """Callsheet posts this when an execution has ended: succeeded, failed or cancelled.

    It goes to the `callbackUrl` of the execution, and to the endpoints that receive this type of events.
    """


@router.post("event", name="event", summary="An event of an execution or a job", **_body(EventWebhook))
async def event(webhook_id: _Id, webhook_timestamp: _Timestamp, webhook_signature: _Signature) -> None:
    """Callsheet posts this to endpoints for the other events of executions and jobs."""


@router.post("ad-action", name="ad_action", summary="An approved action on ads", **_body(AdActionWebhook))
async def ad_action(webhook_id: _Id, webhook_timestamp: _Timestamp, webhook_signature: _Signature) -> None:
    """Callsheet posts this to the URL of an `ad-action` job after a person has approved it.

    It is repeated with the same id until it is confirmed. Do the action once for each id.
    """


@router.post("alert", name="alert", summary="An alert", **_body(AlertWebhook))
async def alert(webhook_id: _Id, webhook_timestamp: _Timestamp, webhook_signature: _Signature) -> None:
    """Callsheet posts this to the alert URL and to endpoints when a queue fails, or an endpoint was disabled."""


@router.post("endpoint-test", name="endpoint_test", summary="A test of an endpoint", **_body(EndpointTest))
async def endpoint_test(webhook_id: _Id, webhook_timestamp: _Timestamp, webhook_signature: _Signature) -> None:
    """Callsheet posts this to an endpoint when a client requests a test of it."""
