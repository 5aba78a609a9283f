"""Batch writer of the logs of jobs."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.commit_once import commit_once
from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.json_storage import shown_text
from callsheet.logs import redact_secrets
from callsheet.processes.output_capture import LogLine
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)

_MAX_BATCH = 1_000
_MAX_MESSAGE = 16_000
"""Characters."""


@dataclass(frozen=True, slots=True)
class _JobLine:
    job: ClaimedJob
    line: LogLine


class JobLogWriter:
    """Buffers log lines of runs, and stores them about twice per second. Lines can be added from any thread.

    Each run can store at most `max_lines` lines and `max_bytes` bytes of text; the rest is dropped and counted. No
    other line is dropped: while the database is unavailable the runs cannot end, and their limits bound the buffer.
    """

    def __init__(self, database: Database, *, max_lines: int, max_bytes: int, interval: float = 0.5) -> None:
        """Store at most once every `interval` seconds."""
        self._database = database
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._interval = interval
        self._buffer: list[_JobLine] = []
        self._buffer_lock = threading.Lock()
        self._flush_lock = asyncio.Lock()

    def open(self, job: ClaimedJob) -> "RunLog":
        """Return the log of a new run."""
        return RunLog(self, job, max_lines=self._max_lines, max_bytes=self._max_bytes)

    def add(self, job: ClaimedJob, line: LogLine) -> None:
        """Buffer a line."""
        with self._buffer_lock:
            self._buffer.append(_JobLine(job, line))

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.flush()
            except TRANSIENT_ERRORS as error:
                self._database.outage.failed("store log lines of jobs", error)
            except asyncpg.PostgresError as error:
                log.error("could not store log lines of jobs", exc_info=error)

    async def flush(self) -> None:
        """Store everything that is buffered, as soon as the database can be used."""
        async with self._flush_lock:
            while batch := self._buffer[:_MAX_BATCH]:
                await self._store_accepted(batch)
                with self._buffer_lock:
                    del self._buffer[: len(batch)]

    async def _store_accepted(self, lines: list[_JobLine]) -> None:
        """Store the lines that the database accepts. A line that it can never store is logged as an error."""
        try:
            await commit_once(self._database, partial(_store, lines))
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            if len(lines) > 1:
                for line in lines:
                    await self._store_accepted([line])
                return
            log.error("the database rejected a log line of a job", job=str(lines[0].job.id), exc_info=error)


class RunLog:
    """The log of one run."""

    def __init__(self, writer: JobLogWriter, job: ClaimedJob, *, max_lines: int, max_bytes: int) -> None:
        self._writer = writer
        self._job = job
        self._lines_left = max_lines
        self._bytes_left = max_bytes
        self._dropped = 0

    def add(self, line: LogLine) -> None:
        """Add a line. It is dropped beyond the limits of a run."""
        if self._lines_left <= 0:
            self._dropped += 1
            return
        message = shown_text(redact_secrets(line.message[:_MAX_MESSAGE]))
        size = len(message.encode())
        if size > self._bytes_left:
            # Nothing follows a dropped line, so that the log has no hidden gap.
            self._lines_left = 0
            self._dropped += 1
            return
        logger = shown_text(line.logger)
        self._writer.add(self._job, LogLine(line.at, line.level, logger, message))
        self._lines_left -= 1
        self._bytes_left -= size

    def close(self) -> None:
        """Add a line about dropped lines, if there are any."""
        if self._dropped:
            message = f"{self._dropped:,} lines dropped: the log of this run is full."
            self._writer.add(self._job, LogLine(datetime.now(UTC), "warning", "callsheet", message))


async def _store(lines: list[_JobLine], connection: Connection) -> None:
    # The lock numbers the lines of an execution in the order of their commits, so that readers miss none.
    executions: list[UUID] = [line.job.execution_id for line in lines]
    await sql.lock_executions(connection, ids=list(set(executions)))
    await sql.insert_job_logs(
        connection,
        execution_ids=executions,
        jobs=[line.job.id for line in lines],
        attempts=[line.job.attempts + 1 for line in lines],
        times=[line.line.at for line in lines],
        levels=[line.line.level for line in lines],
        loggers=[line.line.logger for line in lines],
        messages=[line.line.message for line in lines],
    )
