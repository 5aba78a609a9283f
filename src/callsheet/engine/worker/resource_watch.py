"""The resource watch of a worker: measures its machine, stores and publishes that, and warns.

It uses a statement of its own, so that neither heartbeats nor claims wait for it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import orjson
import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.resource_warnings import ResourceWarnings, WarningChanges
from callsheet.domain.resources import Resources
from callsheet.machine.sampler import Sampler
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

PublishResources: TypeAlias = Callable[[str, Resources], Awaitable[None]]
"""Publishes a measurement of the worker with this name. It raises no error."""


class ResourceWatch:
    """Measures the machine of one worker."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        worker_id: UUID,
        worker_name: str,
        *,
        publish: PublishResources | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._publish = publish
        self._seconds = round(settings.resource_interval.total_seconds())
        self._sampler = sampler or Sampler({"data": settings.data_dir, "scratch": settings.scratch_dir})
        self._warnings = ResourceWarnings(settings.warning_limits)
        self._is_failing = False

    async def record(self) -> None:
        """Measure, store and publish once. Raises errors of the database."""
        resources = await self._measure()
        if resources is None:
            return
        self._log(self._warnings.update(resources.levels(), resources.at))
        resources = resources.model_copy(update={"warnings": self._warnings.active})
        if self._publish is not None:
            await self._publish(self._worker_name, resources)
        levels = {name: [percent, percent] for name, percent in resources.levels().items()}
        await self._database.retry(
            lambda c: sql.record_resources(
                c,
                worker_id=self._worker_id,
                worker_name=self._worker_name,
                at=resources.at,
                seconds=self._seconds,
                levels=orjson.dumps(levels).decode(),
                sample=resources.model_dump_json(),
            ),
            timeout=5,
        )

    async def _measure(self) -> Resources | None:
        try:
            resources = await self._sampler.measure()
        except Exception as error:  # drivers and their modules are anybody's code, and must not end the worker
            log.log(
                logging.DEBUG if self._is_failing else logging.WARNING,
                "the machine could not be measured",
                worker=self._worker_name,
                exc_info=error,
            )
            self._is_failing = True
            return None
        if self._is_failing:
            log.info("the machine can be measured again", worker=self._worker_name)
        self._is_failing = False
        return resources

    def _log(self, changes: WarningChanges) -> None:
        for warning in changes.began:
            log.warning(
                "high resource use",
                worker=self._worker_name,
                resource=warning.resource,
                percent=warning.percent,
                limit=warning.limit,
            )
        for warning in changes.ended:
            log.info(
                "resource use is no longer high",
                worker=self._worker_name,
                resource=warning.resource,
                since=warning.since.isoformat(),
            )
