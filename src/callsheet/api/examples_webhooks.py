"""Examples of webhook endpoints and deliveries for the OpenAPI document."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from callsheet.domain.model import Model
from callsheet.notify.deliveries import Delivery, DeliveryAttempt, DeliveryWithAttempts
from callsheet.notify.endpoints import Endpoint, EndpointWithSecret

_AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def _response(example: Model | dict[str, Any], description: str = "Done") -> dict[str, Any]:
    value = example.model_dump(mode="json") if isinstance(example, Model) else example
    return {"description": description, "content": {"application/json": {"example": value}}}


_ENDPOINT = Endpoint(
    id=UUID("019ab1f0-0000-7000-8000-000000000007"),
    url="https://example.com/hooks/callsheet",
    description="Orders",
    event_types=["execution.*", "job.failed"],
    enabled=True,
    disabled_at=None,
    disabled_reason=None,
    failing_since=None,
    previous_secret_until=None,
    created_at=_AT,
)
_DELIVERY: dict[str, Any] = {
    "id": UUID("b0f6c3a2-7d5e-4f0a-9a4c-1c2d3e4f5a6b"),
    "number": 7,
    "status": "pending",
    "type": "execution.succeeded",
    "endpoint_id": _ENDPOINT.id,
    "url": None,
    "execution_id": UUID("019ab1f0-0000-7000-8000-000000000001"),
    "event_number": 12,
    "attempts": 1,
    "last_response": "503 Service Unavailable",
    "next_attempt_at": _AT + timedelta(seconds=6),
    "created_at": _AT,
    "delivered_at": None,
    "failed_at": None,
}
_ATTEMPT = DeliveryAttempt(number=1, at=_AT, duration=0.213, status=503, response="503 Service Unavailable")

endpoint = _response(_ENDPOINT)
endpoint_list = _response({"endpoints": [_ENDPOINT.model_dump(mode="json")]})
endpoint_with_secret = _response(
    EndpointWithSecret(**_ENDPOINT.model_dump(by_alias=False), secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # noqa: S106
)
delivery = _response(DeliveryWithAttempts(**_DELIVERY, attempt_log=[_ATTEMPT]))
delivery_page = _response({"deliveries": [Delivery(**_DELIVERY).model_dump(mode="json")], "nextCursor": None})
resent = _response({"resent": 17})

endpoint_requests = {
    "ends": {"summary": "The ends of executions", "value": {"url": "https://example.com/hooks/callsheet"}},
    "chosen": {
        "summary": "Chosen events",
        "value": {
            "url": "https://example.com/hooks/callsheet",
            "description": "Orders",
            "eventTypes": ["execution.*", "job.failed"],
        },
    },
}
endpoint_changes = {
    "enable": {"summary": "Enable it again", "value": {"enabled": True}},
    "events": {"summary": "Receive other events", "value": {"eventTypes": ["job.*", "alert.*"]}},
}
rotations = {
    "overlap": {"summary": "The previous secret is valid for two hours more", "value": {"overlap": "2h"}},
    "leaked": {"summary": "The previous secret is invalid at once", "value": {"overlap": "0s"}},
}
resend_requests = {"since": {"summary": "Since this morning", "value": {"since": "2026-11-22T06:00:00Z"}}}
