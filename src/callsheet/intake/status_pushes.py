"""Statuses of messages for the API of the product: stored by the intake, and sent by `StatusPushSender`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
import structlog

from callsheet.db.database import Database
from callsheet.db.group_commit import GroupCommit
from callsheet.db.statements import sql
from callsheet.domain.json_storage import storable_json, storable_text
from callsheet.engine.intake_messages import MessageKey, OpenMessage
from callsheet.intake.contract import Delivery, Intake, Outcome, Rejection
from callsheet.intake.status_push_sender import StatusPushSender
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_MAX_GROUP = 500
"""Pushes that one statement stores."""
_MAX_ERROR = 4000
"""Characters."""
_MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class StatusPush:
    """A status of a job of the product."""

    key: MessageKey
    product_id: str
    status: Literal["running", "succeeded", "failed"]
    facts: Mapping[str, Any]
    """What the body of the request has beside the status. JSON values."""

    def body(self) -> str:
        """Return the body of the request."""
        return storable_json({"status": self.status, **self.facts})


class StatusPushes:
    """Stores the statuses of the messages of one intake. Storing one again changes nothing: it can be repeated.

    Without an API of a product in the settings, it stores nothing.
    """

    def __init__(
        self, database: Database, settings: Settings, intake: Intake, *, on_error: Callable[[str], None]
    ) -> None:
        """`on_error` receives the error of each request that failed."""
        self._database = database
        self._intake = intake
        self._on_error = on_error
        self.enabled = settings.status_push_url is not None and intake.pushes_status
        self._sender = StatusPushSender(database, settings, intake.name, on_error=on_error)
        self._groups: GroupCommit[StatusPush, None] = GroupCommit(self._write_group, max_size=_MAX_GROUP)

    async def run(self) -> None:
        """Send until cancelled."""
        await self._sender.run()

    async def started(self, message: OpenMessage) -> None:
        """Store that the execution of a message runs."""
        await self._store(StatusPush(message.key, message.product_id, "running", {}))

    async def ended(self, message: OpenMessage, outcome: Outcome) -> None:
        """Store the end of a message. A failed attempt that the source repeats is no end."""
        if outcome.succeeded:
            facts = {"result": self._intake.result(outcome)}
            await self._store(StatusPush(message.key, message.product_id, "succeeded", facts))
        elif not self._intake.will_retry(message, outcome):
            about = {"executionId": str(outcome.execution.execution_id)}
            await self._store(_failed(message.key, message.product_id, outcome.error, about))

    async def rejected(self, delivery: Delivery, rejection: Rejection) -> None:
        """Store that a message is invalid. An attempt that the source repeats is no end."""
        if not self._intake.will_retry(delivery, rejection):
            problems = [{"path": each.path, "message": each.message} for each in rejection.problems[:_MAX_PROBLEMS]]
            id = delivery.product_id or delivery.key.message_id
            await self._store(_failed(delivery.key, id, rejection.message, {"problems": problems}))

    async def _store(self, push: StatusPush) -> None:
        if self.enabled:
            try:
                await self._groups.write(push)
            except asyncpg.PostgresError as error:
                # Not an outage: the database refuses the row. The message itself must not wait for that.
                self._on_error(f"{type(error).__name__}: {error}")
                log.error("a status cannot be stored", message=str(push.key), status=push.status, exc_info=error)
            self._sender.wake()

    async def _write_group(self, pushes: list[StatusPush]) -> list[None]:
        await self._database.retry(
            lambda c: sql.record_status_pushes(
                c,
                intake=self._intake.name,
                sources=[push.key.source for push in pushes],
                message_ids=[storable_text(push.key.message_id) for push in pushes],
                attempts=[push.key.attempt for push in pushes],
                statuses=[push.status for push in pushes],
                product_ids=[storable_text(push.product_id) for push in pushes],
                bodies=[push.body() for push in pushes],
            ),
            timeout=float("inf"),
        )
        return [None] * len(pushes)


def _failed(key: MessageKey, product_id: str, text: str, about: Mapping[str, Any]) -> StatusPush:
    """Return a failure with its error. It is in `result`, too, where some products look for it."""
    error = text[:_MAX_ERROR]
    return StatusPush(key, product_id, "failed", {"error": error, "result": {"message": error, **about}})
