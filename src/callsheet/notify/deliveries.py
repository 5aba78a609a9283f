"""Read the webhooks that were sent or wait to be sent, and send them again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.model import Model

DeliveryStatus = Literal["pending", "delivered", "failed"]
MAX_RESENT = 10_000
"""Webhooks that one request sends again."""


class DeliveryAttempt(Model):
    """One attempt to send a webhook."""

    number: int = Field(description="A number that is missing belongs to an attempt whose process died")
    at: datetime = Field(description="Its start")
    duration: float = Field(description="Seconds until the response or the error")
    status: int | None = Field(description="HTTP status; null: no response")
    response: str = Field(description="HTTP status with its reason, or the error")


class Delivery(Model):
    """A webhook with the state of its delivery."""

    id: UUID = Field(description="`webhook-id` of its messages")
    number: int = Field(description="Ascending with the time at which the webhooks were written", exclude=True)
    status: DeliveryStatus = Field(
        description="`pending`: an attempt follows; `failed`: no attempt follows, unless it is sent again"
    )
    type: str = Field(examples=["execution.succeeded"])
    endpoint_id: UUID | None = Field(description="null: it goes to a callback URL, or to the alert URL of the settings")
    url: str | None = Field(description="The callback URL; null: it goes to an endpoint, or to the alert URL")
    execution_id: UUID | None
    event_number: int | None = Field(description="Number of its event in the execution")
    attempts: int
    last_response: str | None
    next_attempt_at: datetime | None = Field(description="Status `pending`: earliest time of the next attempt")
    created_at: datetime
    delivered_at: datetime | None
    failed_at: datetime | None


class DeliveryWithAttempts(Delivery):
    """A webhook with all attempts to send it."""

    attempt_log: list[DeliveryAttempt] = Field(description="Oldest first")


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Filter of a list of webhooks; None matches all."""

    endpoint_id: UUID | None = None
    execution_id: UUID | None = None
    status: DeliveryStatus | None = None


async def list_deliveries(
    database: Database, filters: DeliveryFilter, *, before: int | None, limit: int
) -> list[Delivery]:
    """Return one page, newest first. `before` is the last number of the previous page."""
    rows = await database.retry(
        lambda c: sql.list_webhooks(
            c,
            endpoint_id=filters.endpoint_id,
            execution_id=filters.execution_id,
            status=filters.status,
            before=before,
            limit=limit,
        ),
        timeout=5,
    )
    return [Delivery(**_fields(row)) for row in rows]


async def get_delivery(database: Database, webhook: UUID) -> DeliveryWithAttempts:
    """Return a webhook with its attempts. Raises NotFound."""
    row = await database.retry(lambda c: sql.get_webhook(c, id=webhook), timeout=5)
    if row is None:
        raise _not_found(webhook)
    attempts = await database.retry(lambda c: sql.attempts_of_webhook(c, id=webhook), timeout=5)
    return DeliveryWithAttempts(**_fields(row), attempt_log=[DeliveryAttempt(**attempt) for attempt in attempts])


async def resend(database: Database, webhook: UUID) -> DeliveryWithAttempts:
    """Send a webhook again, whatever its status. Raises NotFound, or InvalidState if its endpoint is disabled."""
    if await database.retry(lambda c: sql.resend_webhook(c, id=webhook)) is None:
        await get_delivery(database, webhook)
        raise InvalidState("The endpoint of this webhook is disabled. Enable it first.")
    return await get_delivery(database, webhook)


async def resend_failed(database: Database, *, since: datetime, endpoint_id: UUID | None) -> int:
    """Send again what has failed at `since` or later, except for disabled endpoints. Return the number of webhooks.

    It is at most `MAX_RESENT`, those that failed first.
    """
    async with database.connection() as connection:
        rows = await sql.resend_failed_webhooks(connection, since=since, endpoint_id=endpoint_id, limit=MAX_RESENT)
    return len(rows)


def _fields(row: Any) -> dict[str, Any]:
    status = "delivered" if row["delivered_at"] else "failed" if row["failed_at"] else "pending"
    fields = {name: value for name, value in row.items() if name != "due_at"}
    return fields | {"status": status, "next_attempt_at": row["due_at"] if status == "pending" else None}


def _not_found(webhook: UUID) -> NotFound:
    return NotFound(f"There is no webhook {webhook}. Webhooks that were sent are kept for CALLSHEET_WEBHOOK_HISTORY.")
