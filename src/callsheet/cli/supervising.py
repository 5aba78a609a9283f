"""The supervisor of a `callsheet worker`, with what it tells the database of a death."""

import sys
from collections.abc import Mapping
from uuid import UUID

import structlog

from callsheet.db.database import TRANSIENT_ERRORS, Database
from callsheet.engine.worker.rescuer import mark_worker_lost
from callsheet.processes.supervisor import Supervisor
from callsheet.settings import Settings

log = structlog.get_logger(__name__)


def supervisor_of(settings: Settings, database: Database, arguments: list[str], env: Mapping[str, str]) -> Supervisor:
    """Return what keeps `callsheet` running in a child process with these arguments."""

    def command(worker_id: UUID) -> list[str]:
        return [sys.executable, "-m", "callsheet", *arguments, "--id", str(worker_id)]

    async def on_death(worker_id: UUID) -> None:
        try:
            await mark_worker_lost(database, worker_id)
        except TRANSIENT_ERRORS as error:
            log.warning("a dead worker could not be marked; its silence will tell", error=type(error).__name__)

    return Supervisor(command, env=env, on_death=on_death, grace=settings.grace_period.total_seconds())
