"""Telling providers to end tasks that nobody waits for any more."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ProviderBusy, ProviderUnreachable, SetupError
from callsheet.engine.ordering import task_of
from callsheet.providers.contract import Provider

log = structlog.get_logger(__name__)

_MOST = 50
_LONGEST = 60.0
_LEASE = 120.0
"""Seconds before another worker may tell a provider what one has set out to tell."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 600.0
_ATTEMPTS = 20
_ATTEMPTS_WITHOUT_A_TASK = 8
"""An order that was on its way is known by then, or never will be."""


class Canceller:
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
                rows = await sql.claim_cancels(
                    connection, most=_MOST, lease=_LEASE, strange=list(self._strange), only=self._only
                )
            await asyncio.gather(*map(self._tell, rows))
            if len(rows) < _MOST:
                return

    async def _tell(self, row: Any) -> None:
        facts = {"job": str(row["job"]), "provider": row["provider"], "submission": str(row["id"])}
        if row["task"] is None:
            await self._later(row, _ATTEMPTS_WITHOUT_A_TASK, "nobody knows whether it was ordered", facts)
            return
        try:
            provider = self._providers[row["provider"]]
        except (KeyError, SetupError):
            # Left to workers that can ask it.
            self._strange.add(row["provider"])
            await self._database.retry(lambda c: sql.cancel_put_off(c, id=row["id"], delay=0.0), seconds=5)
            return
        try:
            async with asyncio.timeout(_LONGEST):
                await provider.cancel(task_of(row["task"]))
        except (ProviderUnreachable, ProviderBusy, TimeoutError) as error:
            await self._later(row, _ATTEMPTS, type(error).__name__, facts)
        except Exception as error:
            log.error("a provider could not be told to end a task", **facts, exc_info=error)
            await self._later(row, _ATTEMPTS, type(error).__name__, facts)
        else:
            log.info("a provider was told to end a task", **facts)
            await self._database.retry(lambda c: sql.cancel_told(c, id=row["id"]), seconds=5)

    async def _later(self, row: Any, most: int, why: str, facts: dict[str, str]) -> None:
        attempts = row["cancel_attempts"]
        if attempts >= most:
            log.warning("a task is not called off any more", reason=why, attempts=attempts, **facts)
            await self._database.retry(lambda c: sql.cancel_told(c, id=row["id"]), seconds=5)
            return
        delay = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempts - 1))
        await self._database.retry(lambda c: sql.cancel_put_off(c, id=row["id"], delay=delay), seconds=5)
