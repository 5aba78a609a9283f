"""Inbox of provider webhooks: authenticate, deduplicate, and queue the waiting job."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import BadWebhook, ConfigurationError, NotConfigured
from callsheet.domain.json_storage import storable_text
from callsheet.engine.jobs.changes import Changes
from callsheet.providers.contract import Provider, WebhookEvent
from callsheet.tracing import span, traceparent_of

log = structlog.get_logger(__name__)

_MAX_LENGTH = 500
"""Characters stored of a message id, a task id or a status."""


class WebhookInbox:
    """Receives provider webhooks. A webhook is only a hint to poll: the result always comes from the provider's API."""

    def __init__(self, database: Database, providers: Mapping[str, Provider]) -> None:
        self._database = database
        self._providers = providers

    async def receive(self, job: UUID, token: str, headers: Mapping[str, str], body: bytes) -> None:
        """Receive a webhook for a job record.

        Ignores webhooks of unknown jobs and of closed submissions, and duplicates. Raises BadWebhook if the token or
        the signature is invalid or the task id is another one, and NotConfigured if the provider is not configured
        here, so that the signature cannot be verified.
        """
        rows = await self._database.retry(lambda c: sql.submissions_of_job(c, job=job), timeout=5)
        if not rows:
            log.info("webhook for an unknown job", job=str(job))
            return
        row = _match_token(rows, token)
        parent = traceparent_of(row["traceparent"], row["execution_id"])
        facts = {"callsheet.execution": str(row["execution_id"]), "callsheet.job": row["job_id"]}
        with span(f"webhook of {row['provider']}", kind="consumer", parent=parent, attributes=facts):
            await self._receive(job, row, headers, body)

    async def _receive(self, job: UUID, row: Any, headers: Mapping[str, str], body: bytes) -> None:
        event = await self._provider(row["provider"]).read_webhook(headers, body, datetime.now(UTC))
        if None not in (event.task_id, row["provider_job_id"]) and event.task_id != row["provider_job_id"]:
            raise BadWebhook("The webhook is about another task than that of the submission.")
        if not row["closed"]:
            await self._database.retry(lambda c: _store(c, job, row, event), timeout=5, transaction=True)

    def _provider(self, name: str) -> Provider:
        try:
            return self._providers[name]
        except (KeyError, ConfigurationError) as error:
            reason = error.message if isinstance(error, ConfigurationError) else "there is no such provider"
            log.error("cannot verify a webhook: its provider is not configured here", provider=name, reason=reason)
            raise NotConfigured(f"Webhooks of the provider '{name}' cannot be verified here.") from None


def _match_token(rows: list[Any], token: str) -> Any:
    given = token.encode(errors="replace")
    # Compares all tokens, each in constant time, so that the response time leaks nothing.
    matching = [row for row in rows if hmac.compare_digest(row["token"].encode(), given)]
    if not matching:
        raise BadWebhook("The URL contains no valid token.")
    return matching[0]


async def _store(connection: Connection, job: UUID, row: Any, event: WebhookEvent) -> None:
    await sql.lock_executions(connection, ids=[row["execution_id"]])
    is_new = await sql.store_webhook(
        connection,
        submission=row["id"],
        message_id=_storable(event.message_id),
        task_id=None if event.task_id is None else _storable(event.task_id),
        status=_storable(event.status),
    )
    if not is_new:
        return
    await sql.mark_webhook_received(connection, id=row["id"])
    log.info(
        "webhook received",
        execution=str(row["execution_id"]),
        job=str(job),
        job_id=row["job_id"],
        operation=row["operation"],
        provider=row["provider"],
        task=event.task_id,
        status=event.status,
    )
    changes = Changes()
    for released in await sql.release_after_webhook(connection, job=job, submission=row["id"]):
        changes.add_queued(released, "webhook received")
    await changes.record(connection)


def _storable(text: str) -> str:
    return storable_text(text[:_MAX_LENGTH])
