"""The Celery application: its configuration, and its tasks, which hand each message to the intake."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from celery import Celery, Task
from celery.app.task import Context
from celery.app.trace import TraceInfo, trace_ok_t
from celery.exceptions import Ignore, Reject
from celery.states import IGNORED

from callsheet.intake.celery.link import IntakeLink, LinkClosed
from callsheet.intake.celery.tasks import QUEUES
from callsheet.intake.redis_connection import SOCKET_TIMEOUT
from callsheet.settings import Settings

PRIORITY_SEPARATOR = "\x06\x16"
"""Between the name of a queue and a priority, in the key of a list: the default of Celery."""
RESULT_EXPIRY = 86_400
"""Seconds for which Celery keeps a result."""
_SAVED_FIELDS = (
    *("id", "root_id", "parent_id", "group", "group_index", "chord", "chain", "callbacks", "errbacks"),
    *("ignore_result", "correlation_id", "reply_to", "retries", "delivery_info", "argsrepr", "kwargsrepr"),
    *("stamps", "stamped_headers"),
)
"""What is needed of a request to continue its chain, chord and callbacks after the end of the execution."""

NO_INTAKE = (
    "This Celery worker has no intake. Start `callsheet intake celery`, which starts a worker of its own, instead of "
    "`celery worker`."
)


def redis_url(settings: Settings) -> str:
    """Return the URL of the broker and the result store."""
    if settings.redis_url is None:
        return f"redis://{settings.redis_host}:{settings.redis_port}/0"
    url = settings.redis_url.get_secret_value()
    parts = urlsplit(url)
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parts.query:
        # Celery refuses to guess. The certificate is verified unless the URL says otherwise.
        url += ("&" if parts.query else "?") + "ssl_cert_reqs=required"
    return url


def configuration(settings: Settings) -> dict[str, Any]:
    """Return the configuration of producers and workers."""
    timeout = settings.celery_visibility_timeout.total_seconds()
    url = redis_url(settings)
    return {
        "broker_url": url,
        "result_backend": url,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_expires": RESULT_EXPIRY,
        "task_routes": {name: {"queue": queue} for name, queue in QUEUES.items()},
        "task_acks_late": True,
        "task_send_sent_event": True,
        "worker_send_task_events": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": timeout,
            "unacked_restore_interval": min(10.0, timeout / 3),
            "unacked_restore_throttle": 1,
            "socket_keepalive": True,
        },
        "redis_socket_timeout": SOCKET_TIMEOUT,
        "redis_socket_connect_timeout": 5.0,
        "redis_socket_keepalive": True,
    }


def create_app(read_configuration: Callable[[], Mapping[str, Any]]) -> Celery:
    """Return an application without tasks. Its configuration is read when it is needed first."""
    app = Celery("callsheet", set_as_current=False)
    app.add_defaults(read_configuration)
    return app


def add_tasks(app: Celery, names: Iterable[str], link: IntakeLink | None = None) -> dict[str, Task]:
    """Register tasks that hand their messages to the intake at the other end of `link`. Returns them by name."""

    def run(_task: Task, *_args: Any, **_kwargs: Any) -> None:
        if link is None:
            raise RuntimeError(NO_INTAKE)
        raise refusals.newest  # `hand_over` has handed the message over before

    return {
        name: app.task(name=name, bind=True, acks_late=True, shared=False, throws=(ValueError,))(run) for name in names
    }


class _Refusals(threading.local):
    """Why the intake did not take the message that a thread has handed over."""

    newest: Exception


refusals = _Refusals()


class _Ignored:
    """What a task returns whose end is reported by another process."""

    exception = Ignore()


_IGNORED = trace_ok_t(_Ignored(), TraceInfo(IGNORED), 0.0, None)
Trace: TypeAlias = Callable[[str, Sequence[Any], Mapping[str, Any], Mapping[str, Any]], Any]


def hand_over(task: Task, link: IntakeLink) -> Trace:
    """Return the function with which Celery runs a task: it hands the message to the intake.

    Celery's own would do the same with the exception `Ignore`, and format its traceback, which costs more than all the
    rest. It is used for a message that the intake refuses.
    """
    refuse: Trace = task.__trace__

    def trace(uuid: str, args: Sequence[Any], kwargs: Mapping[str, Any], request: Mapping[str, Any]) -> Any:
        context = Context(request or {}, args=args, called_directly=False, kwargs=kwargs)
        delivery = context.delivery_info or {}
        message = {
            "name": task.name,
            "args": args,
            "kwargs": kwargs,
            "queue": delivery.get("routing_key"),
            "priority": delivery.get("priority"),
            "request": {field: getattr(context, field, None) for field in _SAVED_FIELDS},
        }
        try:
            error = link.hand_over(message)
        except LinkClosed:
            refusals.newest = Reject("the intake stops", requeue=True)
        else:
            if error is None:
                # The message is in the database: it can be acknowledged. The intake reports the result.
                return _IGNORED
            refusals.newest = ValueError(error)
        return refuse(uuid, args, kwargs, request)

    return trace
