"""What the producers see: states and results, progress, the next task of a chain, chords, and events for Flower.

All methods block, and can be called by several threads. They can be repeated: after a crash they are.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.app.task import Context
from celery.canvas import group, maybe_signature
from celery.exceptions import TaskRevokedError
from celery.states import FAILURE, READY_STATES, REVOKED, SUCCESS
from kombu.exceptions import OperationalError

from callsheet.intake.celery.application import PRIORITY_SEPARATOR, RESULT_EXPIRY
from callsheet.intake.contract import SourceUnavailable
from callsheet.intake.redis_connection import UNAVAILABLE

PROGRESS = "PROGRESS"
"""State of a task whose execution was not finished."""
_PRIORITIES = ("", *(f"{PRIORITY_SEPARATOR}{step}" for step in (3, 6, 9)))
"""Endings of the lists of a queue, by priority."""
_MAX_SHOWN = 1000
"""Characters of a result or error in an event."""


@dataclass(frozen=True, slots=True)
class Success:
    """A task that has succeeded."""

    request: Mapping[str, Any]
    name: str
    result: Any
    meta: Mapping[str, Any]
    """Its last progress."""
    runtime: float
    """Seconds."""


@contextmanager
def _source_errors() -> Any:
    try:
        yield
    except (*UNAVAILABLE, OperationalError) as error:
        raise SourceUnavailable(str(error)) from error


class TaskResults:
    """Writes the results of tasks as Celery itself would. `app` has no tasks, so that all callbacks are sent."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname

    def backlog(self, queues: Sequence[str]) -> int:
        """Return the number of messages that wait in the queues."""
        with _source_errors(), self._app.backend.client.pipeline(transaction=False) as pipe:
            for queue in queues:
                for ending in _PRIORITIES:
                    pipe.llen(queue + ending)
            return sum(pipe.execute())

    def progress(self, request: Mapping[str, Any], name: str, meta: Mapping[str, Any]) -> None:
        """Report the progress of a task that has not ended."""
        context = _context(request, name)
        with _source_errors():
            if self._has_ended(context):
                return  # reported before a crash
            if not context.ignore_result:
                self._app.backend.store_result(context.id, dict(meta), PROGRESS, request=context)
            self._publish({context.id: meta})
            self._send_event("task-progress", context, **meta)

    def succeed(self, successes: Sequence[Success]) -> None:
        """Store results, and continue what waits for them."""
        contexts = [_context(success.request, success.name) for success in successes]
        with _source_errors():
            together: list[tuple[Context, Any]] = []
            for success, context in zip(successes, contexts, strict=True):
                if _is_awaited(context):
                    self._succeed_one(context, success.result)
                else:
                    together.append((context, success.result))
            self._store_together(together)
            self._publish({context.id: success.meta for success, context in zip(successes, contexts, strict=True)})
            self._send_successes(successes, contexts)

    def _succeed_one(self, context: Context, result: Any) -> None:
        if self._has_ended(context):
            self._count_chord_part(context, SUCCESS, result)
            return
        # The result is stored last: if it is there, all before was done.
        self._continue(context, result)
        self._app.backend.mark_as_done(context.id, result, context, not context.ignore_result)

    def _store_together(self, results: Sequence[tuple[Context, Any]]) -> None:
        """Store the results of tasks that nothing follows, as the backend does, with two round trips for all.

        As there, what is stored for a task that has ended is not replaced.
        """
        if not results:
            return
        backend = self._app.backend
        keys = [backend.get_key_for_task(context.id) for context, _ in results]
        with backend.client.pipeline(transaction=False) as pipe:
            for (context, result), key, stored in zip(results, keys, backend.mget(keys), strict=True):
                if stored is not None and backend.decode_result(stored)["status"] in READY_STATES:
                    continue
                encoded = backend.encode_result(result, SUCCESS)
                meta = backend._get_result_meta(result=encoded, state=SUCCESS, traceback=None, request=context)
                text = backend.encode({**meta, "task_id": context.id})
                pipe.set(key, text, ex=RESULT_EXPIRY)
                pipe.publish(key, text)
            pipe.execute()

    def _send_successes(self, successes: Sequence[Success], contexts: Sequence[Context]) -> None:
        """Send the events of tasks as one message."""
        with (
            self._app.amqp.producer_pool.acquire(block=True) as producer,
            self._app.events.Dispatcher(
                producer.connection,
                self._hostname,
                channel=producer.channel,
                buffer_while_offline=False,
                buffer_group={"task"},
                buffer_limit=len(successes) + 1,
            ) as dispatcher,
        ):
            for success, context in zip(successes, contexts, strict=True):
                shown = repr(success.result)[:_MAX_SHOWN]
                self._send(dispatcher, "task-succeeded", context, result=shown, runtime=success.runtime)
            dispatcher.flush(errors=False)

    def fail(
        self, request: Mapping[str, Any], name: str, error: Exception, traceback: str, meta: Mapping[str, Any]
    ) -> None:
        """Store an error; the tasks that wait in the chain or chord fail as well."""
        context = _context(request, name)
        with _source_errors():
            if self._has_ended(context):
                self._count_chord_part(context, FAILURE, error)
            else:
                self._app.backend.mark_as_failure(
                    context.id, error, traceback=traceback, request=context, store_result=not context.ignore_result
                )
            self._publish({context.id: meta})
            self._send_event("task-failed", context, exception=repr(error)[:_MAX_SHOWN], traceback=traceback)

    def revoke(self, request: Mapping[str, Any], name: str, meta: Mapping[str, Any]) -> None:
        """Mark a task as revoked."""
        context = _context(request, name)
        with _source_errors():
            if self._has_ended(context):
                self._count_chord_part(context, REVOKED, TaskRevokedError("revoked"))
            else:
                self._app.backend.mark_as_revoked(
                    context.id, "revoked", request=context, store_result=not context.ignore_result
                )
            self._publish({context.id: meta})
            self._send_event("task-revoked", context, terminated=True, signum=None, expired=False)

    def _has_ended(self, context: Context) -> bool:
        return self._app.backend.get_state(context.id) in READY_STATES

    def _count_chord_part(self, context: Context, state: str, result: Any) -> None:
        # A part is counted by its id: a second time changes nothing.
        if context.chord:
            self._app.backend.on_chord_part_return(context, state, result)

    def _continue(self, context: Context, result: Any) -> None:
        """Send the callbacks of a task and the next task of its chain, as `celery.app.trace` does."""
        options = {"parent_id": context.id, "root_id": context.root_id or context.id, "retry": False}
        callbacks = [maybe_signature(each, app=self._app) for each in context.callbacks or ()]
        for callback in callbacks:
            if isinstance(callback, group):
                callback.apply_async((result,), **options)
        single = [callback for callback in callbacks if not isinstance(callback, group)]
        if len(single) == 1:
            single[0].apply_async((result,), **options)
        elif single:
            group(single, app=self._app).apply_async((result,), **options)
        if context.chain:
            following = maybe_signature(context.chain[-1], app=self._app)
            following.apply_async((result,), chain=context.chain[:-1], **options)

    def _publish(self, metas: Mapping[str, Mapping[str, Any]]) -> None:
        with self._app.backend.client.pipeline(transaction=False) as pipe:
            for task_id, meta in metas.items():
                text = json.dumps(meta)
                pipe.set(f"task_status:{task_id}", text, ex=RESULT_EXPIRY)
                pipe.publish(f"task_progress:{task_id}", text)
            pipe.execute()

    def _send_event(self, kind: str, context: Context, **fields: Any) -> None:
        with self._app.events.default_dispatcher(hostname=self._hostname) as dispatcher:
            self._send(dispatcher, kind, context, **fields)

    @staticmethod
    def _send(dispatcher: Any, kind: str, context: Context, **fields: Any) -> None:
        dispatcher.send(kind, uuid=context.id, name=context.task, timestamp=time.time(), **fields)


def _context(request: Mapping[str, Any], name: str) -> Context:
    given = {key: value for key, value in request.items() if key != "delivery_info"}
    return Context(given, task=name, delivery_info=request.get("delivery_info") or {})


def _is_awaited(context: Context) -> bool:
    """Return whether something follows the end of a task, or its result is not stored."""
    return bool(context.ignore_result or context.chord or context.chain or context.callbacks)
