"""Webhook endpoints: receivers of chosen events."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import InvalidState, NotFound, Problem, ProblemList
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model
from callsheet.domain.standard_webhooks import secret_text
from callsheet.files.receiver_urls import callback_problems
from callsheet.notify.event_types import EXECUTION_ENDS, SUBSCRIBABLE
from callsheet.notify.signature import endpoint_secret
from callsheet.settings import Settings

MAX_ENDPOINTS = 50
"""Each one costs a row for each event that it receives."""


class Endpoint(Model):
    """A receiver of webhooks."""

    id: UUID
    url: str
    description: str
    event_types: list[str] = Field(description="Types of events that it receives, or all of a kind: `job.*`")
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: Literal["request", "failing", "gone"] | None = Field(
        description="`request`: by a person; `failing`: no delivery succeeded for days; `gone`: it responded 410"
    )
    failing_since: datetime | None = Field(description="First failed attempt since the last delivery")
    previous_secret_until: datetime | None = Field(description="Until then, the previous secret signs too")
    created_at: datetime


class EndpointWithSecret(Endpoint):
    """An endpoint with its secret, which is shown only now."""

    secret: str = Field(description="Verifies signatures (Standard Webhooks)", examples=["whsec_…"])


class EndpointRequest(Model):
    """A new endpoint."""

    url: str = Field(max_length=2000, examples=["https://example.com/hooks/callsheet"])
    description: str = Field("", max_length=200)
    event_types: list[str] = Field(list(EXECUTION_ENDS), max_length=50, examples=[["execution.*", "job.failed"]])


class EndpointChange(Model):
    """Changes of an endpoint. An absent field, or null, does not change."""

    url: str | None = Field(None, max_length=2000)
    description: str | None = Field(None, max_length=200)
    event_types: list[str] | None = Field(None, max_length=50)
    enabled: bool | None = Field(None, description="`true` also forgets earlier failures")


async def create_endpoint(
    database: Database, request: EndpointRequest, *, key: bytes, settings: Settings
) -> EndpointWithSecret:
    """Store an endpoint. Raises ProblemList with all problems of its fields, and InvalidState if there are too many."""
    _check(request.url, request.event_types, request.description, settings)
    endpoint_id = new_id()

    async def create(connection: Connection) -> Any:
        if await sql.count_endpoints(connection) >= MAX_ENDPOINTS:
            raise InvalidState(f"There are {MAX_ENDPOINTS} endpoints, and no more are allowed. Delete one first.")
        return await sql.create_endpoint(
            connection,
            id=endpoint_id,
            url=request.url,
            description=request.description,
            event_types=request.event_types,
        )

    async with database.transaction() as connection:
        return _with_secret(await create(connection), key)


async def list_endpoints(database: Database) -> list[Endpoint]:
    """Return all endpoints, oldest first."""
    return [Endpoint(**_fields(row)) for row in await database.retry(sql.list_endpoints, timeout=5)]


async def get_endpoint(database: Database, endpoint_id: UUID) -> Endpoint:
    """Return an endpoint. Raises NotFound."""
    return Endpoint(**_fields(_found(await database.retry(lambda c: sql.get_endpoint(c, id=endpoint_id)), endpoint_id)))


async def change_endpoint(
    database: Database, endpoint_id: UUID, change: EndpointChange, settings: Settings
) -> Endpoint:
    """Change an endpoint. Raises NotFound, and ProblemList with all problems of the fields."""
    _check(change.url, change.event_types, change.description, settings)
    row = await database.retry(
        lambda c: sql.change_endpoint(
            c,
            id=endpoint_id,
            url=change.url,
            description=change.description,
            event_types=change.event_types,
            enabled=change.enabled,
        )
    )
    return Endpoint(**_fields(_found(row, endpoint_id)))


async def delete_endpoint(database: Database, endpoint_id: UUID) -> None:
    """Delete an endpoint, with its webhooks and their attempts. Raises NotFound."""
    _found(await database.retry(lambda c: sql.delete_endpoint(c, id=endpoint_id), transaction=True), endpoint_id)


async def rotate_secret(database: Database, endpoint_id: UUID, *, key: bytes, overlap: timedelta) -> EndpointWithSecret:
    """Give an endpoint a new secret. The previous one stays valid for `overlap`. Raises NotFound."""
    async with database.connection() as connection:
        row = await sql.rotate_endpoint_secret(connection, id=endpoint_id, overlap=overlap.total_seconds())
    return _with_secret(_found(row, endpoint_id), key)


async def send_test(database: Database, endpoint_id: UUID) -> UUID:
    """Write a webhook of type `webhook.test` for an endpoint. Return its id. Raises NotFound, or InvalidState if the
    endpoint is disabled.
    """
    endpoint = await get_endpoint(database, endpoint_id)
    if not endpoint.enabled:
        raise InvalidState("The endpoint is disabled. Enable it first.")
    data = orjson.dumps({"text": "A test of this endpoint.", "data": {"endpointId": str(endpoint_id)}}).decode()
    async with database.connection() as connection:
        webhook: UUID = _found(await sql.store_test_webhook(connection, id=endpoint_id, data=data), endpoint_id)["id"]
    return webhook


def _found(row: Any, endpoint_id: UUID) -> Any:
    if row is None:
        raise NotFound(f"There is no webhook endpoint {endpoint_id}.")
    return row


def _with_secret(row: Any, key: bytes) -> EndpointWithSecret:
    secret = endpoint_secret(key, row["id"], row["secret_number"])
    return EndpointWithSecret(**_fields(row), secret=secret_text(secret))


def _fields(row: Any) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name != "secret_number"}
    return fields | {"enabled": row["disabled_at"] is None}


def _check(url: str | None, event_types: list[str] | None, description: str | None, settings: Settings) -> None:
    problems = callback_problems(url, settings, field="url")
    if url is not None and "\0" in url:
        problems = [Problem("url", "nul_character", "must not contain a NUL character")]
    if description is not None and "\0" in description:
        problems.append(Problem("description", "nul_character", "must not contain a NUL character"))
    if event_types == []:
        problems.append(Problem("eventTypes", "empty", "must name at least one type of events"))
    for index, kind in enumerate(event_types or ()):
        if kind not in SUBSCRIBABLE:
            hint = did_you_mean(kind, SUBSCRIBABLE) or f"; known: {', '.join(SUBSCRIBABLE)}"
            problems.append(Problem(f"eventTypes[{index}]", "bad_value", f"'{kind}' is not a type of events{hint}"))
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ProblemList(problems, f"{count} in the request")
