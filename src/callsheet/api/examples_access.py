"""Examples of keys for the OpenAPI document."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from callsheet.access.keys import ApiKey
from callsheet.domain.scopes import Scope

_AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
_ID = UUID("019ab1f0-0000-7000-8000-00000000000a")

_KEY = ApiKey(
    id=_ID,
    name="storefront",
    prefix="csk_Zk3pQ2",
    scopes=[Scope.READ, Scope.SUBMIT],
    rate_limit=600,
    max_running=20,
    monthly_budget=Decimal(250),
    created_at=_AT,
    created_by="CALLSHEET_API_KEY",
    expires_at=None,
    revoked_at=None,
    last_used_at=_AT,
).model_dump(mode="json")


def _response(example: Any) -> dict[str, Any]:
    return {"description": "Done", "content": {"application/json": {"example": example}}}


key = _response(_KEY)
key_with_secret = _response(_KEY | {"lastUsedAt": None, "secret": "csk_Zk3pQ2…"})
keys = _response({"keys": [_KEY]})
key_requests = {
    "product": {
        "summary": "A product that submits plans",
        "value": {"name": "storefront", "scopes": ["submit", "read"], "rateLimit": 600, "maxRunning": 20},
    },
    "reader": {"summary": "A dashboard", "value": {"name": "dashboard", "scopes": ["read"]}},
}
me = _response({"kind": "key", "name": "storefront", "id": str(_ID), "scopes": ["read", "submit"]})
token = _response(
    {
        "token": "cst_AZqx8AAAcACAAAAAAAAA…",
        "executionId": "019ab1f0-0000-7000-8000-000000000001",
        "expiresAt": "2026-11-22T10:30:00Z",
    }
)
token_requests = {"short": {"summary": "For a quarter of an hour", "value": {"lifetime": "15m"}}}
_USER = {
    "id": "019ab1f0-0000-7000-8000-00000000000b",
    "name": "mia",
    "scopes": ["operate", "read"],
    "createdAt": "2026-11-22T09:30:00Z",
    "createdBy": "CALLSHEET_API_KEY",
    "disabledAt": None,
}
user = _response(_USER)
users = _response({"users": [_USER]})
user_requests = {
    "reader": {
        "summary": "Only looks",
        "value": {"name": "mia", "password": "correct horse battery", "scopes": ["read"]},
    }
}
user_changes = {"scopes": {"summary": "May operate", "value": {"scopes": ["read", "operate"]}}}
sessions = _response(
    {
        "sessions": [
            {
                "id": "019ab1f0-0000-7000-8000-00000000000c",
                "name": "mia",
                "userId": _USER["id"],
                "apiKey": None,
                "address": "192.0.2.7",
                "createdAt": "2026-11-22T09:30:00Z",
                "expiresAt": "2026-11-22T21:30:00Z",
            }
        ]
    }
)
audit_page = _response(
    {
        "entries": [
            {
                "id": "019ab1f0-0000-7000-8000-00000000000d",
                "at": "2026-11-22T09:31:00Z",
                "callerKind": "key",
                "callerId": str(_ID),
                "callerName": "storefront",
                "sessionId": None,
                "action": "submit_plan",
                "target": "/api/executions/019ab1f0-0000-7000-8000-000000000001",
                "status": 202,
                "requestId": "019ab1f0-5c3e-7a10-9d7e-0f4b3c2d1e00",
                "address": "192.0.2.7",
            }
        ],
        "nextCursor": None,
    }
)
costs = _response(
    {
        "since": "2026-11-01T00:00:00Z",
        "until": None,
        "costs": [
            {
                "group": "runway/gen4_turbo",
                "name": None,
                "amount": 12.5,
                "currency": "USD",
                "submissions": 50,
                "fromPrice": 50,
            }
        ],
    }
)
