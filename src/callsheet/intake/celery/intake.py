"""The intake `celery`."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from platform import node
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import structlog

from callsheet.db.group_commit import GroupCommit
from callsheet.domain.errors import DatabaseUnavailable
from callsheet.domain.queues import canonical_queue, priority_of
from callsheet.intake.celery.application import configuration, create_app
from callsheet.intake.celery.results import Success, TaskResults
from callsheet.intake.celery.tasks import (
    MAPPINGS,
    POSITIONS,
    body_of,
    earlier_result,
    served_queues,
    task_mappings,
)
from callsheet.intake.celery.worker_process import WorkerProcess
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
    result_of,
)
from callsheet.intake.job_result import error_stack, error_text, main_file, rejection_text
from callsheet.intake.mappings import Payload, find_mapping

log = structlog.get_logger(__name__)
T = TypeVar("T")

_WORKER_THREADS = 64
"""Messages that the worker hands over at the same time."""
_RESULT_THREADS = 8
"""Results that are written at the same time."""
_MAX_SUCCESSES = 100
"""Results that are written together."""
_FAILS_FAST = {
    # The calls are repeated by the runner, and must not hold a thread.
    "task_publish_retry": False,
    "result_backend_transport_options": {"retry_policy": {"max_retries": 1, "interval_start": 0}},
}


class CeleryIntake(Intake):
    """Takes the tasks of Celery queues. A Celery worker in a child process hands each over, and is free at once."""

    name: ClassVar[str] = "celery"

    def __init__(self, context: IntakeContext) -> None:
        super().__init__(context)
        settings = context.settings
        self._queues = served_queues(settings)
        self._mappings = {
            task: find_mapping(mapping, MAPPINGS, settings) for task, mapping in task_mappings(settings).items()
        }
        worker_name = f"callsheet-{os.getpid()}@{node()}"
        given = configuration(settings)
        self._results = TaskResults(create_app(lambda: {**given, **_FAILS_FAST}), worker_name)
        self._threads = ThreadPoolExecutor(_RESULT_THREADS, thread_name_prefix="celery results")
        arguments = ["--hostname", worker_name, "--concurrency", str(_WORKER_THREADS), "--queues"]
        self._configuration = {
            "configuration": given,
            "tasks": list(self._mappings),
            "arguments": [*arguments, ",".join(self._queues), "--loglevel", settings.log_level.upper()],
            "log_level": settings.log_level,
            "log_json": settings.log_json,
        }
        self._successes: GroupCommit[Success, None] = GroupCommit(self._write_successes, max_size=_MAX_SUCCESSES)
        self._worker: WorkerProcess | None = None
        self._taken: asyncio.Queue[Delivery | int] = asyncio.Queue()
        """Deliveries, or the exit status of a worker. The worker limits their number."""
        self._askers: dict[MessageKey, list[tuple[WorkerProcess, int]]] = defaultdict(list)
        """Worker and number of each message that was handed over and not answered yet."""
        self._open: dict[str, dict[str, Any]] = {}
        """Tasks whose executions run, as `celery inspect active` shows them."""
        self._revoked: set[str] = set()
        """Tasks that were revoked while they were being stored."""
        self._cancels: set[asyncio.Task[None]] = set()

    @property
    def sources(self) -> Sequence[str]:
        """Names of the queues."""
        return self._queues

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the worker, which returns the messages that were not stored."""
        if self._worker is not None:
            await self._worker.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def receive(self) -> AsyncIterator[Delivery]:
        """Yield the messages that the worker hands over. Raises SourceUnavailable when the worker ends."""
        self._worker = await WorkerProcess.start(self._configuration, self._on_document, self._taken.put_nowait)
        self._worker.send({"open": list(self._open.values())})
        while True:
            taken = await self._taken.get()
            if isinstance(taken, int):
                raise SourceUnavailable(f"the Celery worker has ended with exit status {taken}; it is started again")
            yield taken

    def _on_document(self, worker: WorkerProcess, document: dict[str, Any]) -> None:
        if "task" in document:
            delivery = _delivery(document["task"])
            self._askers[delivery.key].append((worker, document["number"]))
            self._taken.put_nowait(delivery)
        for task_id in map(str, document.get("revoked", ())):
            if any(key.message_id == task_id for key in self._askers):
                self._revoked.add(task_id)  # it is being stored
            self._spawn_cancel(task_id)

    def _spawn_cancel(self, task_id: str) -> None:
        cancel = asyncio.create_task(self._cancel(task_id), name="celery revoke")
        self._cancels.add(cancel)
        cancel.add_done_callback(self._cancels.discard)

    async def _cancel(self, task_id: str) -> None:
        for queue in self._queues:
            if await self._cancel_in(queue, task_id):
                log.info("execution cancelled, because its task was revoked", task=task_id)
                return

    async def _cancel_in(self, queue: str, task_id: str) -> bool:
        while True:
            try:
                return await self.context.cancel(queue, task_id)
            except DatabaseUnavailable:
                await asyncio.sleep(1)

    async def plan(self, delivery: Delivery) -> Mapping[str, Any]:
        """Return the plan for the arguments of a task, by the mapping of its name."""
        task, settings = delivery.body, self.context.settings
        mapping = self._mappings[task["name"]]
        names = next((names for name, names in POSITIONS.items() if mapping is MAPPINGS[name]), ())
        body = body_of(task["args"], task["kwargs"], names)
        key = delivery.key
        plan = mapping(Payload(key.source, task["name"], key.message_id, body, settings))
        return _with_priority(plan, key.source, task["priority"])

    async def accepted(self, message: OpenMessage) -> None:
        """Let the worker acknowledge the message."""
        self._answer(message.key, None)
        self._show_open([message])
        if message.key.message_id in self._revoked:
            self._revoked.discard(message.key.message_id)
            self._spawn_cancel(message.key.message_id)

    async def reject(self, delivery: Delivery, rejection: Rejection) -> None:
        """Let the worker fail the task, with what waits for it."""
        self._answer(delivery.key, rejection_text(rejection))
        self._revoked.discard(delivery.key.message_id)

    def _answer(self, key: MessageKey, error: str | None) -> None:
        for worker, number in self._askers.pop(key, ()):
            worker.send({"number": number, "error": error})

    async def report(self, message: OpenMessage, update: Update) -> None:
        """Store the progress: as state of the task, under `task_status:<id>`, and on `task_progress:<id>`."""
        if update.execution is not None:
            return  # it has ended: `finish` replaces this state at once
        meta = _meta(message, update.progress, "running" if update.started else "queued", update.text)
        await self._in_thread(self._results.progress, message.claim["request"], message.claim["name"], meta)

    async def finish(self, message: OpenMessage, outcome: Outcome) -> None:
        """Store the result or the error, and continue the chain or chord of the task."""
        request, name = message.claim["request"], message.claim["name"]
        meta = _meta(message, 1.0 if outcome.succeeded else None, str(outcome.execution.status), None)
        if outcome.succeeded:
            runtime = time.time() - message.claim["takenAt"]
            result = {**earlier_result(name, outcome.results), **task_result(outcome)}
            await self._successes.write(Success(request, name, result, meta, runtime))
        elif outcome.cancelled:
            await self._in_thread(self._results.revoke, request, name, meta)
        else:
            text = error_text(outcome)
            meta["message"] = text
            await self._in_thread(self._results.fail, request, name, RuntimeError(text), error_stack(outcome), meta)
        self._hide_open([message.key.message_id])

    async def keep_alive(self, messages: Collection[Claimed]) -> None:
        """Forget open tasks that another process has taken over. The messages themselves were acknowledged."""
        self._hide_open(self._open.keys() - {message.key.message_id for message in messages})

    async def adopted(self, messages: Collection[OpenMessage]) -> None:
        """Show the open tasks of a process that has ended."""
        self._show_open(messages)

    async def backlog(self) -> int | None:
        """Return the number of messages that wait in all queues."""
        return await self._in_thread(self._results.backlog, self._queues)

    def _show_open(self, messages: Collection[OpenMessage]) -> None:
        shown = {message.key.message_id: _active_record(message) for message in messages}
        self._open |= shown
        if self._worker is not None:
            self._worker.send({"open": list(shown.values())})

    def _hide_open(self, task_ids: Collection[str]) -> None:
        hidden = [task_id for task_id in task_ids if self._open.pop(task_id, None) is not None]
        if hidden and self._worker is not None:
            self._worker.send({"closed": hidden})

    async def _write_successes(self, successes: list[Success]) -> list[Exception | None]:
        try:
            await self._in_thread(self._results.succeed, successes)
        except SourceUnavailable as error:
            # Returned, not raised: they are not tried again in smaller groups.
            return [error] * len(successes)
        return [None] * len(successes)

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)


def task_result(outcome: Outcome) -> dict[str, Any]:
    """Return what `get()` returns. `url` and `key` are those of the published file, else of the main file."""
    result = {**result_of(outcome), "results": dict(outcome.results)}
    main = main_file(outcome.artifacts)
    if "url" not in result and main is not None:
        expires = main.url_expires_at
        result |= {"url": main.url, "key": main.key, "expiresAt": expires.isoformat() if expires else None}
    return result


def _delivery(task: dict[str, Any]) -> Delivery:
    request = task["request"]
    key = MessageKey(CeleryIntake.name, str(task["queue"]), str(request["id"]), str(request["retries"] or 0))
    return Delivery(key, task, {"name": task["name"], "request": request, "takenAt": time.time()})


def _with_priority(plan: Mapping[str, Any], queue: str, priority: int | None) -> Mapping[str, Any]:
    """Return a plan with the priority of its message. In Celery's Redis transport, 0 is the highest and the default."""
    if not priority or "executionPlan" in plan:
        return plan
    return {"executionPlan": plan, "priority": priority_of(canonical_queue(queue)) - priority}


def _meta(message: OpenMessage, progress: float | None, status: str, text: str | None) -> dict[str, Any]:
    """Return the progress as producers read it. `progress` is in percent."""
    meta: dict[str, Any] = {"task_id": message.key.message_id, "status": status}
    if progress is not None:
        meta["progress"] = round(progress * 100)
    return {**meta, "message": text, "execution_id": str(message.execution_id)}


def _active_record(message: OpenMessage) -> dict[str, Any]:
    request = message.claim["request"]
    return {
        "id": message.key.message_id,
        "name": message.claim["name"],
        "args": request.get("argsrepr"),
        "kwargs": request.get("kwargsrepr"),
        "type": message.claim["name"],
        "hostname": None,
        "time_start": message.claim["takenAt"],
        "acknowledged": True,
        "delivery_info": {"routing_key": message.key.source},
        "worker_pid": None,
    }
