"""Cancel tasks at providers, with retries."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ConfigurationError, ProviderRateLimited, ProviderUnreachable
from callsheet.domain.event_types import EventType
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.jobs.downstream import unknown_submission_event
from callsheet.engine.submissions.reconciler import SubmissionReconciler, accept_submission, read_search_criteria
from callsheet.engine.submissions.submit_once import read_task
from callsheet.providers.contract import Provider, SubmitRequest, Task

log = structlog.get_logger(__name__)

_BATCH_SIZE = 50
_CALL_TIMEOUT = 60.0
_LEASE = 120.0
"""Lease, in seconds, of a claimed cancel request."""
_FIRST_DELAY, _MAX_DELAY = 2.0, 600.0
"""Seconds between attempts; doubled after each one."""
_MAX_ATTEMPTS = 20
_MAX_ATTEMPTS_UNKNOWN = 8
"""Attempts for a submission of unknown outcome: after that its task is not expected to appear any more."""


class ProviderCanceller:
    """Sends due cancel requests to providers. Any number of processes may do this concurrently."""

    def __init__(self, database: Database, providers: Mapping[str, Provider], *, only: UUID | None = None) -> None:
        """`only` restricts it to the jobs reserved for that worker."""
        self._database = database
        self._providers = providers
        self._only = only
        self._unconfigured: set[str] = set()

    async def send_due(self) -> None:
        """Send all due cancel requests, in batches."""
        while True:
            async with self._database.connection() as connection:
                rows = await sql.claim_provider_cancels(
                    connection, limit=_BATCH_SIZE, lease=_LEASE, unconfigured=list(self._unconfigured), only=self._only
                )
            found = await asyncio.gather(*map(self._send, rows))
            if len(rows) < _BATCH_SIZE and not any(found):
                return

    async def _send(self, row: Any) -> bool:
        """Send one cancel request. Return True if instead the task was only just found, and is now due."""
        try:
            provider = self._providers[row["provider"]]
        except (KeyError, ConfigurationError):
            # Leave it to a worker on which the provider is configured.
            self._unconfigured.add(row["provider"])
            await self._database.retry(lambda c: sql.postpone_provider_cancel(c, id=row["id"], delay=0.0), timeout=5)
            return False
        if row["task"] is None:
            return await self._reconcile(row, provider)
        await self._cancel(row, provider)
        return False

    async def _reconcile(self, row: Any, provider: Provider) -> bool:
        """Find the task of a submission of unknown outcome. Storing it makes its cancel due (`accept_submission`)."""
        if row["webhook_task_id"] is not None:
            task = Task(row["provider"], row["webhook_task_id"], {"model": row["model"]})
            await self._database.retry(lambda c: accept_submission(c, row["id"], task), timeout=5)
            return True
        reason: str | None = "The provider cannot list its tasks."
        if row["search_criteria"] is not None:
            reconciler = SubmissionReconciler(self._database, provider)
            reason = await self._find(row, reconciler, read_search_criteria(row["search_criteria"], row["id"]))
        if reason is None:
            log.info("found the task of a cancelled submission", **_facts(row))
            return True
        if row["cancel_attempts"] >= _MAX_ATTEMPTS_UNKNOWN:
            await self._database.retry(lambda c: _log_unknown(c, row, reason), timeout=5, transaction=True)
        await self._retry_later(row, _MAX_ATTEMPTS_UNKNOWN, reason)
        return False

    async def _find(self, row: Any, reconciler: SubmissionReconciler, request: SubmitRequest) -> str | None:
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                return await reconciler.find(row["id"], request, row["created_at"])
        except Exception as error:
            log.error("could not search for a submission", **_facts(row), exc_info=error)
            return type(error).__name__

    async def _cancel(self, row: Any, provider: Provider) -> None:
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                await provider.cancel(read_task(row["task"]))
        except (ProviderUnreachable, ProviderRateLimited, TimeoutError) as error:
            await self._retry_later(row, _MAX_ATTEMPTS, type(error).__name__)
        except Exception as error:
            log.error("could not cancel a task at its provider", **_facts(row), exc_info=error)
            await self._retry_later(row, _MAX_ATTEMPTS, type(error).__name__)
        else:
            log.info("cancelled a task at its provider", **_facts(row))
            await self._database.retry(lambda c: sql.finish_provider_cancel(c, id=row["id"]), timeout=5)

    async def _retry_later(self, row: Any, max_attempts: int, reason: str) -> None:
        attempts = row["cancel_attempts"]
        if attempts >= max_attempts:
            log.warning("gave up cancelling a task", reason=reason, attempts=attempts, **_facts(row))
            await self._database.retry(lambda c: sql.finish_provider_cancel(c, id=row["id"]), timeout=5)
            return
        delay = min(_MAX_DELAY, _FIRST_DELAY * 2 ** (attempts - 1))
        await self._database.retry(lambda c: sql.postpone_provider_cancel(c, id=row["id"], delay=delay), timeout=5)


def _facts(row: Any) -> dict[str, str]:
    return {"job": str(row["job"]), "provider": row["provider"], "submission": str(row["id"])}


async def _log_unknown(connection: Connection, row: Any, reason: str) -> None:
    """Add a job event: the task was not found, and the provider may be working on it."""
    await sql.lock_executions(connection, ids=[row["execution_id"]])
    changes = Changes()
    next_step = f"{reason} The search has ended; check the provider's dashboard."
    changes.add_event(row, EventType.JOB_LOG, unknown_submission_event(row, next_step))
    await changes.record(connection)
