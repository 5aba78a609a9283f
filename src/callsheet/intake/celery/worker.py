"""The Celery worker of an intake: `python -m callsheet.intake.celery.worker FD`, started by `WorkerProcess`.

A task only hands its message over. A message that Celery cannot read is moved to a dead list, instead of ending the
worker.
"""

import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from celery.signals import setup_logging, worker_ready
from celery.worker.consumer import Consumer
from celery.worker.control import Panel
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Transport
from redis import Redis
from redis.exceptions import RedisError

from callsheet.intake.celery.application import PRIORITY_SEPARATOR, add_tasks, create_app, hand_over
from callsheet.intake.celery.link import IntakeLink, LinkClosed
from callsheet.intake.celery.wire_format import find_problem
from callsheet.logs import configure_logging

log = logging.getLogger(__name__)

DEAD_SUFFIX = ":dead"
"""Unreadable messages of a queue are moved to the list with its name and this suffix."""


class CheckingClient(Redis):
    """A client that passes on only what Celery can read. The rest is moved to the dead list of its queue."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """Read a reply. An unreadable message is the same as no message."""
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not reply:
            return reply
        key, item = reply
        problem = find_problem(item)
        if problem is None:
            return reply
        queue = key.decode().split(PRIORITY_SEPARATOR)[0]
        log.warning("a message is not readable, moving it to %s%s: it %s", queue, DEAD_SUFFIX, problem)
        self.lpush(f"{queue}{DEAD_SUFFIX}", item)
        return None


class CheckingChannel(RedisChannel):
    """A channel with a checking client."""

    _for_commands: CheckingClient | None = None

    def _get_client(self) -> type[CheckingClient]:
        super()._get_client()  # type: ignore[no-untyped-call] # checks the version of the package
        return CheckingClient

    def _create_client(self, asynchronous: bool = False) -> CheckingClient:
        """Return a client. The one for commands is kept: a new one for each costs more than the command."""
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call, no-any-return]
        if self._for_commands is None or self._for_commands.connection_pool is not self.pool:
            self._for_commands = super()._create_client()  # type: ignore[no-untyped-call]
        assert self._for_commands is not None  # noqa: S101 - made above
        return self._for_commands


class TolerantConsumer(Consumer):  # type: ignore[misc] # Celery has no types
    """A consumer that no message can end."""

    link: ClassVar[IntakeLink]

    def update_strategies(self) -> None:
        """Prepare the tasks: those of the intake hand their messages over."""
        super().update_strategies()
        for task in self.app.tasks.values():
            if not task.name.startswith("celery."):
                task.__trace__ = hand_over(task, self.link)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return the function that receives each message."""
        handle = super().create_task_handler(*args, **options)

        def on_message(message: Any) -> None:
            try:
                handle(message)
            except (RedisError, OSError):
                raise  # the connection to the broker
            except Exception as error:
                queue = message.delivery_info["routing_key"]
                log.exception("a message ended in an error, moving it to %s%s", queue, DEAD_SUFFIX)
                document = {**message.serializable(), "error": f"{type(error).__name__}: {error}"}
                with message.channel.conn_or_acquire() as client:
                    client.lpush(f"{queue}{DEAD_SUFFIX}", json.dumps(document))
                message.ack()

        return on_message


class _Commands:
    """Control commands of Celery that also know the tasks that were handed over."""

    link: ClassVar[IntakeLink]

    @classmethod
    def install(cls, link: IntakeLink) -> None:
        cls.link = link
        for name in ("revoke", "terminate"):
            Panel.data[name] = cls._forwarding(Panel.data[name])
        for name in ("active", "dump_active"):
            Panel.data[name] = cls._with_open_tasks(Panel.data[name])
        query = Panel.data["query_task"]

        def query_task(state: Any, ids: Any, **options: Any) -> Any:
            wanted = [ids] if isinstance(ids, str) else ids
            found = {each: ("active", link.open_tasks[each]) for each in wanted if each in link.open_tasks}
            return {**query(state, ids, **options), **found}

        Panel.data["query_task"] = query_task

    @classmethod
    def _forwarding(cls, command: Callable[..., Any]) -> Callable[..., Any]:
        def revoke(state: Any, *args: Any, task_id: Any, **options: Any) -> Any:
            ids = [task_id] if isinstance(task_id, str) else list(task_id or ())
            try:
                cls.link.send({"revoked": ids})
            except LinkClosed:
                log.warning("the intake has ended; these tasks are not cancelled: %s", ids)
            options.pop("terminate", None)
            # Without `terminate`: a thread cannot be killed, and what runs is the execution, which was cancelled.
            return command(state, *args, task_id=task_id, **options)

        return revoke

    @classmethod
    def _with_open_tasks(cls, command: Callable[..., Any]) -> Callable[..., Any]:
        def active(state: Any, **options: Any) -> Any:
            return [*command(state, **options), *list(cls.link.open_tasks.values())]

        return active


def main(descriptor: int) -> None:
    """Run a worker until the intake closes the socket, or until SIGTERM."""
    link = IntakeLink(socket.socket(fileno=descriptor))
    given = link.read_configuration()
    configure_logging(given["log_level"], as_json=given["log_json"])
    setup_logging.connect(lambda **_: None, weak=False)  # Celery would replace our configuration
    app = create_app(lambda: {**given["configuration"], "worker_consumer": TolerantConsumer})
    add_tasks(app, given["tasks"], link)
    app.set_current()
    _Commands.install(link)
    TolerantConsumer.link = link
    worker_ready.connect(lambda **_: link.send({"ready": True}), weak=False)
    link.start(on_close=lambda: os.kill(os.getpid(), signal.SIGTERM))
    Transport.Channel = CheckingChannel
    app.worker_main(["--quiet", "worker", "--pool", "threads", "--without-gossip", *given["arguments"]])


if __name__ == "__main__":
    main(int(sys.argv[1]))
