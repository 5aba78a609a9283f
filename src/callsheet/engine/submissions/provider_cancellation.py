"""Telling providers to end tasks that nobody waits for any more."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ConfigurationError, ProviderRateLimited, ProviderUnreachable
from callsheet.engine.jobs.complete import Changes, unknown_submission_event
from callsheet.engine.submissions.reconciler import SubmissionReconciler, accept, read_search_criteria
from callsheet.engine.submissions.submit_once import task_of
from callsheet.providers.contract import Provider, SubmitRequest, Task

log = structlog.get_logger(__name__)

_MOST = 50
_LONGEST = 60.0
_LEASE = 120.0
"""Seconds before another worker may tell a provider what one has set out to tell."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 600.0
_ATTEMPTS = 20
_ATTEMPTS_WITHOUT_A_TASK = 8
"""An order that was on its way is known by then, or never will be."""


class ProviderCanceller:
    """Reaches the providers of cancelled jobs. Any number of processes may do this at once."""

    def __init__(self, database: Database, providers: Mapping[str, Provider], *, only: UUID | None = None) -> None:
        """With `only`, for jobs of one execution."""
        self._database = database
        self._providers = providers
        self._only = only
        self._strange: set[str] = set()

    async def tell(self) -> None:
        """Tell providers what is due, a batch at a time."""
        while True:
            async with self._database.connection() as connection:
                rows = await sql.claim_provider_cancels(
                    connection, most=_MOST, lease=_LEASE, strange=list(self._strange), only=self._only
                )
            found = await asyncio.gather(*map(self._tell, rows))
            if len(rows) < _MOST and not any(found):
                return

    async def _tell(self, row: Any) -> bool:
        """Tell one provider; returns whether a task was found that is to be ended now."""
        try:
            provider = self._providers[row["provider"]]
        except (KeyError, ConfigurationError):
            # Left to workers that can ask it.
            self._strange.add(row["provider"])
            await self._database.retry(lambda c: sql.postpone_provider_cancel(c, id=row["id"], delay=0.0), seconds=5)
            return False
        if row["task"] is None:
            return await self._find(row, provider)
        await self._end(row, provider)
        return False

    async def _find(self, row: Any, provider: Provider) -> bool:
        """Find out whether an order was taken; then it is due to be ended."""
        if row["named_task"] is not None:
            task = Task(row["provider"], row["named_task"], {"model": row["model"]})
            await self._database.retry(lambda c: accept(c, row["id"], task), seconds=5)
            return True
        seen: str | None = "Its provider cannot be asked for it."
        if row["search_criteria"] is not None:
            seen = await self._seen(
                row,
                SubmissionReconciler(self._database, provider),
                read_search_criteria(row["search_criteria"], row["id"]),
            )
        if seen is None:
            log.info("a lost order of a cancelled job was found", **_facts(row))
            return True
        if row["cancel_attempts"] >= _ATTEMPTS_WITHOUT_A_TASK:
            await self._database.retry(lambda c: _tell_doubt(c, row, seen), seconds=5, transaction=True)
        await self._later(row, _ATTEMPTS_WITHOUT_A_TASK, seen)
        return False

    async def _seen(self, row: Any, finder: SubmissionReconciler, order: SubmitRequest) -> str | None:
        try:
            async with asyncio.timeout(_LONGEST):
                return await finder.find(row["id"], order, row["begun_at"])
        except Exception as error:
            log.error("a provider could not be asked for an order", **_facts(row), exc_info=error)
            return type(error).__name__

    async def _end(self, row: Any, provider: Provider) -> None:
        try:
            async with asyncio.timeout(_LONGEST):
                await provider.cancel(task_of(row["task"]))
        except (ProviderUnreachable, ProviderRateLimited, TimeoutError) as error:
            await self._later(row, _ATTEMPTS, type(error).__name__)
        except Exception as error:
            log.error("a provider could not be told to end a task", **_facts(row), exc_info=error)
            await self._later(row, _ATTEMPTS, type(error).__name__)
        else:
            log.info("a provider was told to end a task", **_facts(row))
            await self._database.retry(lambda c: sql.finish_provider_cancel(c, id=row["id"]), seconds=5)

    async def _later(self, row: Any, most: int, why: str) -> None:
        attempts = row["cancel_attempts"]
        if attempts >= most:
            log.warning("a task is not called off any more", reason=why, attempts=attempts, **_facts(row))
            await self._database.retry(lambda c: sql.finish_provider_cancel(c, id=row["id"]), seconds=5)
            return
        delay = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempts - 1))
        await self._database.retry(lambda c: sql.postpone_provider_cancel(c, id=row["id"], delay=delay), seconds=5)


def _facts(row: Any) -> dict[str, str]:
    return {"job": str(row["job"]), "provider": row["provider"], "submission": str(row["id"])}


async def _tell_doubt(connection: Connection, row: Any, seen: str) -> None:
    """Tell, in the events of its job, that an order was not found and may be worked on."""
    await sql.lock_executions(connection, ids=[row["execution_id"]])
    changes = Changes()
    changes.add_event(
        row, "job.log", unknown_submission_event(row, f"{seen} It is not looked for any more; look there.")
    )
    await changes.record(connection)
