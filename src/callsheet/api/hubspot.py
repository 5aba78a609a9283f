"""Webhooks of HubSpot: a change of a deal becomes an execution."""

import asyncio
import time
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import Field

from callsheet.ads.deal_messages import INVALID, DealMessage, ReceivedMessage, delivery_of, read_messages
from callsheet.ads.hubspot_signature import verify
from callsheet.api import examples_ads as examples
from callsheet.api.dependencies import RuntimeDep, caller_of
from callsheet.api.problems import problem_responses
from callsheet.db.statements import sql
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import Problem, ProblemList
from callsheet.domain.json_text import read_json
from callsheet.domain.model import Model
from callsheet.domain.plan import Plan, PlannedJob, Submission
from callsheet.engine.jobs.owners import Owner, owner_of
from callsheet.engine.jobs.submit import submit
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/webhooks", tags=["ads"])

PATH = "/api/webhooks/hubspot"


class DealReceipt(Model):
    """What became of a webhook."""

    execution_ids: Annotated[
        list[UUID], Field(description="One for each change of a deal, in their order; that of the first delivery")
    ]
    ignored: int = Field(description="Events that are about something else than the stage or the amount of a deal")


@router.post(
    "/hubspot",
    status_code=202,
    name="receive_hubspot_webhook",
    summary="Receive a webhook of HubSpot",
    responses={**problem_responses(402, 413, 422), 202: examples.deal_receipt},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]},
                    "examples": examples.deal_messages,
                }
            },
        }
    },
)
async def receive_hubspot_webhook(request: Request, runtime: RuntimeDep) -> DealReceipt:
    """Store an execution of `attribute-deal` for each change of the stage or the amount of a deal.

    The body is a list of HubSpot's events, or one message with the params of `attribute-deal`. The tenant of an event
    is its `portalId`. With a client secret in the settings, the signature of HubSpot (v3) is needed, and no API key. A
    webhook that is delivered again stores no second execution.
    """
    body = await request.body()
    _authenticate(request, runtime, body)
    messages, ignored = read_messages(_read(body))
    owner = owner_of(caller_of(request), runtime.settings)
    stored = await asyncio.gather(*(_store(runtime, each, owner) for each in messages))
    return DealReceipt(execution_ids=stored, ignored=ignored)


def _authenticate(request: Request, runtime: Runtime, body: bytes) -> None:
    secret = runtime.settings.hubspot_client_secret
    if secret is None:
        return  # The API key was checked.
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    query = request.scope["query_string"]
    base = runtime.settings.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
    uri = base.rstrip("/") + (path + b"?" + query if query else path).decode("latin-1")
    verify(secret.get_secret_value(), request.headers, method=request.method, uri=uri, body=body, now=time.time())


def _read(body: bytes) -> Any:
    try:
        return read_json(body)
    except DocumentError as error:
        raise ProblemList([Problem("", "invalid_value", str(error))], INVALID) from None


async def _store(runtime: Runtime, received: ReceivedMessage, owner: Owner | None) -> UUID:
    message = received.message
    row = await runtime.database.retry(
        lambda c: sql.get_deal(c, tenant=message.tenant_id, deal=message.deal_id), timeout=10
    )
    if received.delivery is None and row is not None and _is_known(message, row):
        known: UUID = row["execution_id"]
        return known
    delivery = received.delivery or delivery_of(message, row["version"] if row else 0)
    plan = await submit(
        runtime.database,
        _submission(message),
        runtime.catalog,
        max_jobs=runtime.settings.max_jobs_per_plan,
        idempotency_key=f"hubspot:{delivery}",
        owner=owner,
        monthly_budget=runtime.settings.monthly_budget,
    )
    return plan.execution_id


def _is_known(message: DealMessage, row: Any) -> bool:
    """Return whether a message without an id says nothing new: it was delivered again after it was processed."""
    return (
        message.stage_to in (None, row["stage"])
        and message.deal_value in (None, row["value"])
        and set(message.contact_ids) <= set(row["contacts"])
        and message.occurred_at in (None, row["stage_at"], row["value_at"])
    )


def _submission(message: DealMessage) -> Submission:
    params = message.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    job = PlannedJob(id="attribute", operation="attribute-deal", params=params)
    return Submission(
        execution_plan=Plan(name=f"deal {message.deal_id}"[:200], jobs=[job]),
        metadata={"dealId": message.deal_id, "tenantId": message.tenant_id},
    )
