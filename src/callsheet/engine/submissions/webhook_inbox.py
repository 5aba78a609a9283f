"""Webhooks of providers: checked, kept once, and taken as a hint to look."""

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
from callsheet.engine.jobs.complete import Changes
from callsheet.providers.contract import Provider, WebhookEvent

log = structlog.get_logger(__name__)

_LONGEST = 500
"""Characters of a message's id, a task's id or a status that are kept."""


class WebhookInbox:
    """Takes webhooks in. What they say of a task is believed only as far as to look at it."""

    def __init__(self, database: Database, providers: Mapping[str, Provider]) -> None:
        self._database = database
        self._providers = providers

    async def receive(self, job: UUID, token: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take a webhook for a job in.

        One for a job that is unknown or needs no more, or that came before, changes nothing. Raises BadWebhook for
        one that is not from whom it says, or about another task, NotConfigured where it cannot be checked.
        """
        rows = await self._database.retry(lambda c: sql.submissions_of_job(c, job=job), seconds=5)
        if not rows:
            log.info("a webhook for an unknown job", job=str(job))
            return
        row = _of_token(rows, token)
        notice = await self._provider(row["provider"]).read_webhook(headers, body, datetime.now(UTC))
        if None not in (notice.task_id, row["provider_job_id"]) and notice.task_id != row["provider_job_id"]:
            raise BadWebhook("The call is about another task than the one that was ordered.")
        if not row["over"]:
            await self._database.retry(lambda c: _store(c, job, row, notice), seconds=5, transaction=True)

    def _provider(self, name: str) -> Provider:
        try:
            return self._providers[name]
        except (KeyError, ConfigurationError) as error:
            reason = error.message if isinstance(error, ConfigurationError) else "there is no such provider"
            log.error("a webhook that cannot be checked: its provider is not set up here", provider=name, reason=reason)
            raise NotConfigured(f"Calls of the provider '{name}' cannot be checked here.") from None


def _of_token(rows: list[Any], token: str) -> Any:
    given = token.encode(errors="replace")
    # All are compared, so that the time tells nothing.
    fitting = [row for row in rows if hmac.compare_digest(row["token"].encode(), given)]
    if not fitting:
        raise BadWebhook("The address holds no valid token.")
    return fitting[0]


async def _store(connection: Connection, job: UUID, row: Any, notice: WebhookEvent) -> None:
    await sql.lock_executions(connection, ids=[row["execution_id"]])
    new = await sql.store_webhook(
        connection,
        submission=row["id"],
        message_id=_kept(notice.message_id),
        task_id=None if notice.task_id is None else _kept(notice.task_id),
        status=_kept(notice.status),
    )
    if not new:
        return
    await sql.mark_webhook_received(connection, id=row["id"])
    changes = Changes()
    for collected in await sql.release_after_webhook(connection, job=job, submission=row["id"]):
        changes.add_ready_queue(collected, "the provider called")
    await changes.record(connection)


def _kept(text: str) -> str:
    return storable_text(text[:_LONGEST])
