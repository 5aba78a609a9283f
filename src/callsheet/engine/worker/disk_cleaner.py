"""The loop that keeps the disk of this machine free of temporary files that no process needs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import structlog

from callsheet.db.database import Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.domain.errors import ConfigurationError
from callsheet.engine.retention.disk import clean_disk, measure_disk
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_MEASURE_INTERVAL = 600.0
"""Seconds."""
_MEASURES = 6
"""Measures until the next clean-up."""


class DiskCleaner:
    """Removes temporary files at the start, then hourly, and on request. In between it measures them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._requested = asyncio.Event()

    def clean_now(self) -> None:
        """Start a clean-up without waiting for its time."""
        self._requested.set()

    async def run(self) -> None:
        """Clean the disk until cancelled. Errors are logged."""
        while True:
            self._requested.clear()
            await self._try(clean_disk)
            for _ in range(_MEASURES):
                if await self._is_requested():
                    break
                await self._try(measure_disk)

    async def _is_requested(self) -> bool:
        try:
            await asyncio.wait_for(self._requested.wait(), _MEASURE_INTERVAL)
        except TimeoutError:
            return False
        return True

    async def _try(self, work: Callable[[Database, Settings], Awaitable[Any]]) -> None:
        try:
            await work(self._database, self._settings)
        except TRANSIENT_ERRORS as error:
            self._database.outage.failed("clean-up of the disk", error)
        except (asyncpg.PostgresError, ConfigurationError, OSError) as error:
            log.error("the disk could not be cleaned, will retry", exc_info=error)
