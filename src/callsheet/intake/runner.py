"""Runs an intake: takes messages, submits their plans, follows the executions, and reports until they end."""

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from callsheet.db.group_commit import GroupCommit
from callsheet.db.outages import DATABASE_ERRORS, TRANSIENT_ERRORS
from callsheet.domain.errors import (
    BadInput,
    BadSource,
    BudgetExceeded,
    ConfigurationError,
    DatabaseUnavailable,
    NotFound,
    PlanRefused,
    ProblemList,
)
from callsheet.domain.plan import Submission
from callsheet.domain.plan_validation import read_plan, read_submission
from callsheet.domain.records import Execution
from callsheet.engine.intake_messages import IntakeMessage, MessageKey, MessageStore, OpenMessage
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.event_follower import FollowedEvent
from callsheet.intake.arrivals import Arrivals
from callsheet.intake.context import RuntimeContext
from callsheet.intake.contract import (
    Claimed,
    Delivery,
    Intake,
    NothingToRun,
    Outcome,
    Rejection,
    SourceUnavailable,
)
from callsheet.intake.counters import HEARTBEAT_INTERVAL, IntakeCounters
from callsheet.intake.execution_reads import ExecutionReads
from callsheet.intake.followed_message import FollowedMessage
from callsheet.intake.published_files import publish_files
from callsheet.intake.retries import SourceRetries
from callsheet.intake.status_pushes import StatusPushes
from callsheet.logs import redact_secrets
from callsheet.wiring import Runtime

log = structlog.get_logger(__name__)

_REPORT_INTERVAL = 0.5
"""Seconds between two reports of the progress of one message."""
_REPORT_DELAY = 0.1
"""Seconds after which news that are no end are reported."""
_READ_PAUSE = 0.02
"""Seconds between two reads of events while several executions have some."""
_ADOPT_INTERVAL = 5.0
"""Seconds between two searches for messages of ended processes."""
_ADOPT_BATCH = 1000
_MAX_ACCEPTING = 200
"""Messages that are submitted at the same time."""
_MAX_OPEN = 2**31
"""Open messages of an intake without a limit of its own."""
_SUBMIT_INTERVAL = 0.02
"""Seconds between two groups of messages that are submitted together."""
_STOP_TIMEOUT = 5.0
"""Seconds in which a stopping process finishes what it began."""


class IntakeRunner:
    """One intake process. Its open messages are followed by one reader of events, and hold no worker slot.

    runner = IntakeRunner(BullMQIntake, runtime)
    await runner.run()          # until `stop`
    """

    def __init__(self, kind: type[Intake], runtime: Runtime) -> None:
        self._runtime = runtime
        self._database = runtime.database
        self._reads = ExecutionReads(runtime)
        context = RuntimeContext(runtime, kind.name, self._reads, lambda: self._room)
        self.id = context.owner
        self._intake = kind(context)
        self._lease = runtime.settings.intake_lease.total_seconds()
        self._store = MessageStore(runtime.database, kind.name, self.id, lease=self._lease)
        self.counters = IntakeCounters(self.id, kind.name)
        self._retries = SourceRetries(kind.name, self.counters.note_error)
        self._pushes = StatusPushes(runtime.database, runtime.settings, self._intake, on_error=self.counters.note_error)
        self._followed: dict[UUID, FollowedMessage] = {}
        self._accepting: dict[MessageKey, Delivery] = {}
        self._arrivals = Arrivals(_SUBMIT_INTERVAL)
        self._has_room = asyncio.Event()
        self._reports: dict[UUID, asyncio.Task[None]] = {}
        self._accepts: set[asyncio.Task[None]] = set()
        self._closes: GroupCommit[tuple[MessageKey, int], None] = GroupCommit(self._close_group, max_size=500)
        self._follower = runtime.event_stream.follower(waits_for_more=True)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Start to stop: take no more messages. Open ones are left to the next process."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop` is called. Raises what makes the intake unable to work, such as ConfigurationError."""
        async with self._intake:
            self.counters.sources = list(self._intake.sources)
            await self._adopt()
            log.info(
                "intake started", intake=self._intake.name, sources=self.counters.sources, open=len(self._followed)
            )
            loops = [asyncio.create_task(loop, name=f"intake {name}") for name, loop in self._loops().items()]
            stop = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({stop, *loops}, return_when=asyncio.FIRST_COMPLETED)
                for task in loops:
                    if task.done():
                        task.result()
            finally:
                await self._end([stop, *loops])

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        loops = {
            "receive": self._receive(),
            "follow": self._follow(),
            "keep alive": self._every(self._intake.keep_alive_interval, self._keep_alive),
            "own": self._every(self._lease / 3, self._renew),
            "adopt": self._every(min(_ADOPT_INTERVAL, self._lease / 3), self._adopt),
            "heartbeat": self._every(HEARTBEAT_INTERVAL, self._record, at_once=True),
        }
        return {**loops, "push": self._pushes.run()} if self._pushes.enabled else loops

    # Taking messages.

    async def _receive(self) -> None:
        while True:
            await self._wait_for_room()
            try:
                async for delivery in self._intake.receive():
                    self._accepting[delivery.key] = delivery
                    self._spawn_accept(self._accept(delivery))
                    await self._wait_for_room()
            except SourceUnavailable as error:
                self._retries.report("receive", error)
            except Exception as error:  # noqa: BLE001 - an intake can be anybody's code
                self._retries.report("receive", error)
            await asyncio.sleep(1)

    async def _wait_for_room(self) -> None:
        """Wait until another message may be taken."""
        while self._room <= 0:
            self._has_room.clear()
            await self._has_room.wait()

    @property
    def _room(self) -> int:
        """Number of messages that may be taken now."""
        limit = min(self._runtime.settings.intake_max_open, self._intake.max_open or _MAX_OPEN)
        accepting = len(self._accepting)
        return min(_MAX_ACCEPTING - accepting, limit - accepting - len(self._followed))

    def _spawn_accept(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="intake accept")
        self._accepts.add(task)
        task.add_done_callback(self._accepts.discard)

    async def _accept(self, delivery: Delivery) -> None:
        """Submit the plan of a message, or reject it."""
        try:
            message = await self._submit(delivery)
            if message is not None:
                self.counters.accepted += 1
                self._open(message)
                await self._retries.repeat("accepted", lambda: self._intake.accepted(message))
        finally:
            self._accepting.pop(delivery.key, None)
            self._has_room.set()

    async def _submit(self, delivery: Delivery) -> OpenMessage | None:
        try:
            submission = self._read(await self._intake.plan(delivery), delivery.key)
            product_id = delivery.product_id or delivery.key.message_id
            message = IntakeMessage(delivery.key, delivery.claim, self.id, self._lease, product_id)
            await self._arrivals.gather()
            execution_id = await self._submit_until_stored(submission, message)
        except NothingToRun:
            await self._retries.repeat("answer", lambda: self._intake.answer(delivery))
            return None
        except BadInput as error:
            await self._reject(delivery, _rejection_of(error))
            return None
        except (BudgetExceeded, ConfigurationError) as error:
            self.counters.note_error(error)
            await self._reject(delivery, Rejection(error.message, permanent=False))
            return None
        except Exception as error:
            incident = secrets.token_hex(6)
            log.error("a message could not be accepted", message=str(delivery.key), incident=incident, exc_info=error)
            self.counters.note_error(error)
            text = redact_secrets(f"{type(error).__name__}: {error}")
            reason = f"The message could not be accepted ({text}). The log of the intake has incident {incident}."
            await self._reject(delivery, Rejection(reason, permanent=False))
            return None
        return OpenMessage(delivery.key, execution_id, delivery.claim, product_id=product_id)

    def _read(self, data: Mapping[str, Any], key: MessageKey) -> Submission:
        """Parse a plan or a submission, and note in its metadata where it came from."""
        is_submission = isinstance(data, Mapping) and bool(data.keys() & {"executionPlan", "execution_plan"})
        catalog = self._runtime.catalog
        submission = (
            read_submission(data, catalog) if is_submission else Submission(execution_plan=read_plan(data, catalog))
        )
        origin = {"intake": key.intake, "source": key.source, "messageId": key.message_id, "attempt": key.attempt}
        return submission.model_copy(update={"metadata": {**submission.metadata, "intake": origin}})

    async def _submit_until_stored(self, submission: Submission, message: IntakeMessage) -> UUID:
        runtime = self._runtime
        while True:
            try:
                stored = await submit(
                    self._database,
                    submission,
                    runtime.catalog,
                    max_jobs=runtime.settings.max_jobs_per_plan,
                    message=message,
                    monthly_budget=runtime.settings.monthly_budget,
                )
            except DatabaseUnavailable as error:
                self.counters.note_error(error)
                await asyncio.sleep(1)
            else:
                return stored.execution_id

    async def _reject(self, delivery: Delivery, rejection: Rejection) -> None:
        self.counters.rejected += 1
        log.warning("message rejected", message=str(delivery.key), reason=rejection.message[:500])
        await self._pushes.rejected(delivery, rejection)
        await self._retries.repeat("reject", lambda: self._intake.reject(delivery, rejection))

    def _open(self, message: OpenMessage) -> None:
        """Follow the execution of a message."""
        earlier = self._followed.get(message.execution_id)
        if earlier is not None:
            # Delivered again while it is open: the newest claim counts.
            earlier.message = message
            return
        self._followed[message.execution_id] = FollowedMessage(message)
        self._follower.add(message.execution_id)

    # Following and reporting.

    async def _follow(self) -> None:
        while True:
            try:
                while events := await self._follower.read():
                    changed = self._note_events(events)
                    if changed > 1:
                        # Fewer and larger reads, and reports that go together, while several run.
                        await asyncio.sleep(_READ_PAUSE)
            except NotFound as error:
                # The execution was deleted. Its message is gone with it.
                log.warning("an execution of an open message was deleted", error=error.message)
                await self._forget_deleted()
            except DATABASE_ERRORS as error:
                self._database.outage.failed("follow executions", error)
                await asyncio.sleep(0.5)

    def _note_events(self, events: list[FollowedEvent]) -> int:
        """Note events, and have them reported. Return the number of their executions."""
        changed: dict[UUID, FollowedMessage] = {}
        for execution_id, event in events:
            followed = self._followed.get(execution_id)
            if followed is not None:
                followed.add(event)
                changed[execution_id] = followed
        for execution_id, followed in changed.items():
            self._schedule_report(execution_id, followed)
        return len(changed)

    def _schedule_report(self, execution_id: UUID, followed: FollowedMessage) -> None:
        """Report an end at once, and other news a moment later: a short job is reported once, with its end."""
        if execution_id in self._reports or not followed.has_news:
            return
        if followed.ended.is_set():
            self._start_report(execution_id, followed)
        elif followed.report_timer is None:
            loop = asyncio.get_running_loop()
            followed.report_timer = loop.call_later(_REPORT_DELAY, self._start_report, execution_id, followed)

    def _start_report(self, execution_id: UUID, followed: FollowedMessage) -> None:
        followed.cancel_timer()
        if execution_id not in self._reports and self._followed.get(execution_id) is followed:
            task = asyncio.create_task(self._report(execution_id, followed), name="intake report")
            self._reports[execution_id] = task

    async def _report(self, execution_id: UUID, followed: FollowedMessage) -> None:
        """Report what has happened to one execution, in order. No message waits for the reports of another."""
        try:
            while followed.has_news and self._followed.get(execution_id) is followed:
                try:
                    await self._report_once(execution_id, followed)
                except Exception as error:  # noqa: BLE001 - reported again: the message must not stay open forever
                    self._retries.report("report", error)
                    followed.closing = False
                    await asyncio.sleep(1)
        finally:
            self._reports.pop(execution_id, None)

    async def _report_once(self, execution_id: UUID, followed: FollowedMessage) -> None:
        await self._push_start(followed)
        if followed.ended.is_set():
            followed.closing = True
            await self._finish(execution_id, followed)
            return
        followed.reported = await self._report_news(followed)
        # The end is not held up. Not wait_for: in Python 3.11 it can lose a cancellation.
        with suppress(TimeoutError):
            async with asyncio.timeout(_REPORT_INTERVAL):
                await followed.ended.wait()

    async def _push_start(self, followed: FollowedMessage) -> None:
        if followed.started and not followed.start_pushed:
            await self._pushes.started(followed.message)
            followed.start_pushed = True

    async def _report_news(self, followed: FollowedMessage, execution: Execution | None = None) -> int:
        update, newest = followed.take_update(execution)
        if update.events:
            await self._retries.repeat("report", lambda: self._intake.report(followed.message, update))
        return newest

    async def _finish(self, execution_id: UUID, followed: FollowedMessage) -> None:
        execution = await self._reads.read(execution_id, jobs=followed.jobs)
        outcome = await self._retries.repeat("publish", lambda: self._outcome(execution, followed.message.key.source))
        # Before the source: a message that is closed there has its status stored.
        await self._pushes.ended(followed.message, outcome)
        newest = await self._report_news(followed, execution)
        await self._retries.repeat("finish", lambda: self._intake.finish(followed.message, outcome))
        await self._closes.write((followed.message.key, newest))
        self.counters.closed += 1
        self._forget(execution_id)

    async def _outcome(self, execution: Execution, source: str) -> Outcome:
        try:
            return Outcome(execution, await publish_files(self._runtime, execution, source))
        except BadSource as error:
            return Outcome(execution, publish_error=error.message)

    async def _close_group(self, items: list[tuple[MessageKey, int]]) -> list[None]:
        await self._store.close(dict(items))
        return [None] * len(items)

    def _forget(self, execution_id: UUID) -> None:
        followed = self._followed.pop(execution_id, None)
        if followed is not None:
            followed.cancel_timer()
            self._follower.remove(execution_id)
            self._has_room.set()

    async def _forget_deleted(self) -> None:
        for execution_id in set(self._followed) - await self._owned():
            self._forget(execution_id)

    # Claims and ownership.

    async def _keep_alive(self) -> None:
        messages: list[Claimed] = [*self._accepting.values(), *(each.message for each in self._followed.values())]
        if messages:
            await self._retries.repeat("keep alive", lambda: self._intake.keep_alive(messages))

    async def _renew(self) -> None:
        before = set(self._followed)
        owned = await self._owned()
        for execution_id in before - owned:
            # Another process took it over, because this one stood still or was cut off for too long.
            followed = self._followed.get(execution_id)
            if followed is not None and not followed.closing:
                log.info("another process has taken over a message", execution=str(execution_id))
                self._forget(execution_id)

    async def _owned(self) -> set[UUID]:
        """Renew the ownership of all open messages. Return the executions of those that this process still owns."""
        return await self._store.renew({each.message.key: each.reported for each in self._followed.values()})

    async def _adopt(self) -> None:
        while found := await self._store.adopt(_ADOPT_BATCH):
            await self._retries.repeat("adopt", partial(self._intake.adopted, found))
            for message in found:
                self._open(message)
            log.info("took over open messages", intake=self._intake.name, messages=len(found))

    async def _record(self) -> None:
        try:
            async with asyncio.timeout(5):
                self.counters.backlog = await self._intake.backlog()
        except (SourceUnavailable, TimeoutError) as error:
            self.counters.backlog = None
            self.counters.note_error(error)
        await self.counters.record(self._database)

    async def _every(self, seconds: float, work: Any, *, at_once: bool = False) -> None:
        if not at_once:
            await asyncio.sleep(seconds)
        while True:
            try:
                await work()
            except DATABASE_ERRORS as error:
                self._database.outage.failed("intake", error)
            await asyncio.sleep(seconds)

    async def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Finish what began, then leave the open messages to the next process."""
        pending = set(tasks)
        while pending:
            # Again each second: a client library can lose a cancellation.
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=1)
        begun = {*self._accepts, *self._reports.values()}
        if begun:
            await asyncio.wait(begun, timeout=_STOP_TIMEOUT)
        for task in (*self._accepts, *self._reports.values()):
            task.cancel()
        for followed in self._followed.values():
            followed.cancel_timer()  # these news are reported by the next process
        self._follower.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._keep_alive()
            await self._owned()
            await self._store.release()
            await self.counters.remove(self._database)
        except (TimeoutError, *TRANSIENT_ERRORS) as error:
            log.warning("open messages could not be handed over at once", error=type(error).__name__)


def _rejection_of(error: BadInput) -> Rejection:
    problems = error.problems if isinstance(error, ProblemList) else ()
    message = str(error) if isinstance(error, PlanRefused | ProblemList) else error.message
    return Rejection(message, tuple(problems))
