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
from callsheet.intake.content_generation import content_generation, written_texts
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
from callsheet.intake.lora_training import lora_training
from callsheet.intake.mappings import Payload, PlanMapping, find_mapping, plan_in_body, product_id, require_object
from callsheet.intake.redis_connection import connection_options
from callsheet.intake.video_generation import video_generation
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

MAPPINGS: Mapping[str, PlanMapping] = {
    "plan": plan_in_body,
    "video-generation": video_generation,
    "content-generation": content_generation,
    "lora-training": lora_training,
}
"""Built-in mappings of the data of a job to a plan."""

_MAX_LOG_LINE = 2000
"""Characters."""
_MAX_TAKEN = 50
"""Jobs that are taken together."""
_GIVE_BACK_TIMEOUT = 3.0
"""Seconds."""


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
        taken: asyncio.Queue[list[Delivery]] = asyncio.Queue(maxsize=1)
        loops: set[asyncio.Task[Any]] = set()
        for queue in self._queues.values():
            loops.add(asyncio.create_task(self._take_from(queue, taken)))
            loops.add(asyncio.create_task(self._return_stalled(queue)))
        try:
            while True:
                for delivery in await _next(taken, loops):
                    self._taken.pop((delivery.key.source, delivery.key.message_id), None)
                    yield delivery
        finally:
            await _stop(loops)
            await self._give_back()

    async def _give_back(self) -> None:
        """Return the jobs that were taken and not handed on. Otherwise they come back when their locks expire."""
        taken, self._taken = self._taken, {}
        try:
            async with asyncio.timeout(_GIVE_BACK_TIMEOUT):
                await asyncio.gather(
                    *(self._queues[queue].give_back(job_id, token) for (queue, job_id), token in taken.items())
                )
        except (SourceUnavailable, TimeoutError) as error:
            log.warning("jobs could not be returned to the queue at once", jobs=len(taken), error=str(error))

    async def _take_from(self, queue: BullQueue, taken: "asyncio.Queue[list[Delivery]]") -> None:
        size = 1
        while True:
            try:
                size = min(size, self.context.room)
                jobs = await self._take(queue, size)
                # More at a time while the queue is never empty.
                size = min(2 * size, _MAX_TAKEN) if len(jobs) == size else max(1, len(jobs))
                if jobs:
                    await taken.put([_delivery(queue.name, job) for job in jobs])
                else:
                    await queue.wait()
            except SourceUnavailable as error:
                log.warning("the queue does not respond, retrying", queue=queue.name, error=str(error))
                await asyncio.sleep(1)

    async def _take(self, queue: BullQueue, size: int) -> list[Job]:
        taking = asyncio.create_task(queue.take(size), name="bullmq take")
        try:
            # Not interrupted: jobs whose replies were lost would come back only when their locks expire.
            await asyncio.shield(taking)
        finally:
            if not taking.done():
                await asyncio.wait({taking})
            if not taking.cancelled() and taking.exception() is None:
                for job in taking.result():
                    self._taken[queue.name, job.id] = str(job.token)
        return taking.result()

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

    def result(self, outcome: Outcome) -> Mapping[str, Any]:
        """Return the result of a job, with the texts of `content-generation`."""
        return {**super().result(outcome), **written_texts(outcome)}

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
        locks = self._locks(messages)
        for (queue, job_id), token in self._taken.items():
            locks[queue].setdefault(job_id, token)
        for name, source in self._queues.items():
            source.forget_all_but(locks[name].keys())
        await self._extend(locks)

    async def adopted(self, messages: Collection[OpenMessage]) -> None:
        """Extend the locks that a process held that has ended."""
        await self._extend(self._locks(messages))

    @staticmethod
    def _locks(messages: Collection[Claimed]) -> dict[str, dict[str, str]]:
        """Return the token of each job, by queue and id."""
        tokens: dict[str, dict[str, str]] = defaultdict(dict)
        for message in messages:
            tokens[message.key.source][message.key.message_id] = message.claim["token"]
        return tokens

    async def _extend(self, locks: Mapping[str, Mapping[str, str]]) -> None:
        for queue, tokens in locks.items():
            if queue in self._queues:
                await self._queues[queue].extend_locks(tokens)

    async def backlog(self) -> int:
        """Return the number of jobs that wait in all queues."""
        return sum([await queue.backlog() for queue in self._queues.values()])


async def _next(taken: "asyncio.Queue[list[Delivery]]", loops: set[asyncio.Task[Any]]) -> list[Delivery]:
    """Return the next jobs. Raises the error of a loop that has ended."""
    if taken.empty():
        getting = asyncio.create_task(taken.get())
        try:
            await asyncio.wait({getting, *loops}, return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    loop.result()
            return getting.result()
        finally:
            getting.cancel()
    return taken.get_nowait()


async def _stop(loops: set[asyncio.Task[Any]]) -> None:
    while loops:
        # Again each second: the client library can lose a cancellation.
        for task in loops:
            task.cancel()
        _, loops = await asyncio.wait(loops, timeout=1)


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
