"""The intake `bullmq`."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar

import structlog
from bullmq import Job

from callsheet.domain.errors import ConfigurationError
from callsheet.domain.event_types import EventType
from callsheet.intake.bullmq.queue import BullQueue, LockLost
from callsheet.intake.contract import (
    Claimed,
    Delivery,
    Intake,
    IntakeContext,
    MessageKey,
    OpenMessage,
    Outcome,
    Rejection,
    SourceUnavailable,
    Update,
)
from callsheet.intake.job_result import error_stack, rejection_text
from callsheet.intake.mappings import Payload, PlanMapping, find_mapping, plan_in_body, product_id, require_object
from callsheet.intake.not_yet import not_available
from callsheet.intake.redis_connection import connection_options
from callsheet.intake.video_generation import video_generation
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

MAPPINGS: Mapping[str, PlanMapping] = {
    "plan": plan_in_body,
    "video-generation": video_generation,
    "content-generation": not_available("content-generation"),
    "lora-training": not_available("lora-training"),
}
"""Built-in mappings of the data of a job to a plan."""

_MAX_LOG_LINE = 2000
"""Characters."""


class BullMQIntake(Intake):
    """Takes the jobs of queues of BullMQ. Its attempts, backoff, delays and priorities stay BullMQ's own."""

    name: ClassVar[str] = "bullmq"

    def __init__(self, context: IntakeContext) -> None:
        super().__init__(context)
        settings = context.settings
        self.keep_alive_interval = settings.bullmq_lock_duration.total_seconds() / 4
        self._mappings = {
            queue: find_mapping(mapping, MAPPINGS, settings) for queue, mapping in parse_queues(settings).items()
        }
        options = connection_options(settings)
        self._queues = {
            queue: BullQueue(
                queue,
                prefix=settings.bull_prefix,
                lock_duration=settings.bullmq_lock_duration.total_seconds(),
                connection=options,
            )
            for queue in self._mappings
        }
        self._taken: dict[tuple[str, str], str] = {}
        """Tokens of jobs that were taken and not handed on yet, by queue and id."""

    @property
    def sources(self) -> Sequence[str]:
        """Names of the queues."""
        return list(self._queues)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        for queue in self._queues.values():
            await queue.close()

    async def receive(self) -> AsyncIterator[Delivery]:
        """Yield jobs of all queues."""
        taken: asyncio.Queue[Delivery] = asyncio.Queue(maxsize=1)
        loops: set[asyncio.Task[None]] = set()
        for queue in self._queues.values():
            loops.add(asyncio.create_task(self._take_from(queue, taken)))
            loops.add(asyncio.create_task(self._return_stalled(queue)))
        try:
            while True:
                delivery = await taken.get()
                self._taken.pop((delivery.key.source, delivery.key.message_id), None)
                yield delivery
        finally:
            while loops:
                # Again each second: the client library can lose a cancellation.
                for task in loops:
                    task.cancel()
                _, loops = await asyncio.wait(loops, timeout=1)

    async def _take_from(self, queue: BullQueue, taken: "asyncio.Queue[Delivery]") -> None:
        while True:
            try:
                job = await queue.take()
            except SourceUnavailable as error:
                log.warning("the queue does not respond, retrying", queue=queue.name, error=str(error))
                await asyncio.sleep(1)
                continue
            if job is not None:
                self._taken[queue.name, job.id] = str(job.token)
                await taken.put(_delivery(queue.name, job))

    @staticmethod
    async def _return_stalled(queue: BullQueue) -> None:
        while True:
            with suppress(SourceUnavailable):  # logged by the loop that takes jobs
                await queue.return_stalled_jobs()
            await asyncio.sleep(1)

    async def plan(self, delivery: Delivery) -> Mapping[str, Any]:
        """Return the plan for the data of a job, by the mapping of its queue."""
        body = require_object(delivery.body["data"])
        queue = delivery.key.source
        payload = Payload(queue, delivery.body["name"], delivery.key.message_id, body, self.context.settings)
        return self._mappings[queue](payload)

    async def reject(self, delivery: Delivery, rejection: Rejection) -> None:
        """Fail the job. For an invalid job, BullMQ makes no further attempt."""
        stack = f"Error: {rejection_text(rejection)}"
        await self._fail(delivery, rejection.message, stack, final=_is_final(rejection))

    async def report(self, message: OpenMessage, update: Update) -> None:
        """Set the progress of the job, and add messages of the operations to its log."""
        queue, job_id = self._queues[message.key.source], message.key.message_id
        lines = [_log_line(event.job_id, event.data) for event in update.events if event.type == EventType.JOB_LOG]
        if any(event.number == 1 for event in update.events):
            lines.insert(0, f"Callsheet execution {message.execution_id}")
        if lines:
            await queue.add_log(job_id, lines)
        if 0 < update.progress < 1:
            await queue.update_progress(job_id, round(update.progress * 100))

    async def finish(self, message: OpenMessage, outcome: Outcome) -> None:
        """Move the job to completed with its result, or to failed with the error."""
        if not outcome.succeeded:
            await self._fail(message, outcome.error, error_stack(outcome), final=_is_final(outcome))
            return
        queue = self._queues[message.key.source]
        result = self.result(outcome)
        try:
            await queue.complete(message.key.message_id, message.claim["token"], result)
        except LockLost as error:
            log.warning("another worker has the job", job=message.key.message_id, error=str(error))

    def will_retry(self, message: Claimed, failure: Rejection | Outcome) -> bool:
        """Return whether BullMQ makes another attempt: there is one left, and the failure is not final."""
        return not _is_final(failure) and bool(message.claim.get("attemptsLeft"))

    async def _fail(self, message: Claimed, reason: str, stack: str, *, final: bool) -> None:
        queue = self._queues[message.key.source]
        try:
            await queue.fail(message.key.message_id, message.claim["token"], reason, stack, final=final)
        except LockLost as error:
            log.warning("another worker has the job", job=message.key.message_id, error=str(error))

    async def keep_alive(self, messages: Collection[Claimed]) -> None:
        """Extend the locks of jobs."""
        tokens: dict[str, dict[str, str]] = defaultdict(dict)
        for (queue, job_id), token in self._taken.items():
            tokens[queue][job_id] = token
        for message in messages:
            tokens[message.key.source][message.key.message_id] = message.claim["token"]
        for queue, locks in tokens.items():
            if queue in self._queues:
                await self._queues[queue].extend_locks(locks)

    async def adopted(self, messages: Collection[OpenMessage]) -> None:
        """Extend the locks that a process held that has ended."""
        await self.keep_alive(messages)

    async def backlog(self) -> int:
        """Return the number of jobs that wait in all queues."""
        return sum([await queue.backlog() for queue in self._queues.values()])


def parse_queues(settings: Settings) -> dict[str, str]:
    """Return the mapping of each queue in the settings. Raises ConfigurationError for an invalid setting."""
    queues = {}
    for entry in filter(None, (part.strip() for part in settings.bullmq_queues.split(","))):
        name, _, mapping = (part.strip() for part in entry.partition("="))
        if not name or (not mapping and name not in MAPPINGS):
            raise ConfigurationError(
                f"CALLSHEET_BULLMQ_QUEUES: '{entry}' needs a mapping, such as {name or 'queue'}=module:function, "
                f"{name or 'queue'}=plan.yaml or {name or 'queue'}=plan"
            )
        queues[name] = mapping or name
    if not queues:
        raise ConfigurationError("CALLSHEET_BULLMQ_QUEUES names no queue.")
    return queues


def _delivery(queue: str, job: Job) -> Delivery:
    # A stalled job that is delivered again has started once more without a new attempt. Any other start is a new one.
    attempt = f"{job.timestamp}-{max(1, job.attemptsStarted) - job.stalledCounter}"
    key = MessageKey(BullMQIntake.name, queue, str(job.id), attempt)
    claim = {"token": job.token, "attemptsLeft": _attempts_left(job)}
    return Delivery(key, {"name": str(job.name), "data": job.data}, claim, product_id(job.data, str(job.id)))


def _attempts_left(job: Job) -> int:
    """Return the number of attempts that BullMQ can make after this one."""
    attempts = job.opts.get("attempts")
    return max(0, attempts - job.attemptsMade - 1) if isinstance(attempts, int) else 0


def _is_final(failure: Rejection | Outcome) -> bool:
    """Return whether BullMQ must make no further attempt."""
    if isinstance(failure, Rejection):
        return failure.permanent
    return failure.cancelled or not failure.is_retry_safe


def _log_line(job_id: str | None, data: Mapping[str, Any]) -> str:
    return f"{job_id}: {data.get('message', '')}"[:_MAX_LOG_LINE]
