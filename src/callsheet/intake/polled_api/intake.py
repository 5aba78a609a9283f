"""The intake `polled-api`."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar

import orjson
import structlog

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
from callsheet.intake.mappings import Payload, find_mapping, require_object
from callsheet.intake.polled_api.client import CallbackRefused, PolledAPI
from callsheet.intake.polled_api.results import (
    CallbackBody,
    completed_body,
    failed_body,
    failure_details,
    rejection_details,
)
from callsheet.intake.polled_api.tasks import MAPPINGS, base_url, callback_url, lease_url, task_id

log = structlog.get_logger(__name__)

_MAX_DELAY = 30.0
"""Seconds between two polls of an API that does not respond."""

_MAX_REQUESTS = 8
"""Requests for a task at the same time."""
_MAX_ID = 500
"""Characters of the id of a task. Another task is known by its digest."""


class PolledAPIIntake(Intake):
    """Asks an API for tasks, runs each, and sends the result to its callback URL."""

    name: ClassVar[str] = "polled-api"

    def __init__(self, context: IntakeContext) -> None:
        super().__init__(context)
        settings = context.settings
        self.max_open = settings.polled_api_tasks
        self._interval = settings.polled_api_interval.total_seconds()
        self._max_refusals = settings.polled_api_max_retries
        self._mapping = find_mapping(settings.polled_api_mapping, MAPPINGS, settings)
        self._api = PolledAPI(settings)
        self._failures = 0

    @property
    def sources(self) -> Sequence[str]:
        """The URL of the API."""
        return [base_url(self.context.settings)]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._api.close()

    async def receive(self) -> AsyncIterator[Delivery]:
        """Yield tasks: the next ones at once, and after the interval if there was none."""
        size = 1
        while True:
            size = min(size, self.context.room)
            bodies = await self._take(size)
            for delivery in await asyncio.gather(*(self._delivery(body) for body in bodies)):
                yield delivery
            if len(bodies) == size:
                # More requests at the same time while each one brings a task.
                size = min(2 * size, _MAX_REQUESTS)
                continue
            size = max(1, len(bodies))
            if not bodies:
                log.debug("No task available")
                await asyncio.sleep(self._interval)

    async def _take(self, number: int) -> list[Any]:
        """Ask for tasks, so many at the same time. A task that was handed out is never dropped for another's error."""
        found = await asyncio.gather(*(self._api.take() for _ in range(number)), return_exceptions=True)
        bodies = [body for body in found if body is not None and not isinstance(body, BaseException)]
        error = next((each for each in found if isinstance(each, BaseException)), None)
        if error is None:
            self._failures = 0
        elif not isinstance(error, SourceUnavailable):
            raise error
        elif not bodies:
            self._failures += 1
            delay = min(self._interval * 2 ** min(self._failures - 1, 10), max(self._interval, _MAX_DELAY))
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            raise error
        return bodies

    async def _delivery(self, body: Any) -> Delivery:
        identity = task_id(body)
        log.info("Received task: %s", identity)
        message_id = identity or ""
        if not message_id or "\0" in message_id or len(message_id) > _MAX_ID:
            message_id = hashlib.sha256(orjson.dumps(body)).hexdigest()
        attempt = await self.context.attempt(self.sources[0], message_id)
        key = MessageKey(self.name, self.sources[0], message_id, attempt)
        return Delivery(
            key,
            body,
            {"task": identity, "callback": callback_url(body, self.context.settings), "lease": lease_url(body)},
        )

    async def plan(self, delivery: Delivery) -> Mapping[str, Any]:
        """Return the plan for a task, by the mapping of the settings."""
        body, identity = require_object(delivery.body), delivery.key.message_id
        log.info("Processing task %s", identity)
        return self._mapping(Payload(delivery.key.source, self.name, identity, body, self.context.settings))

    async def reject(self, delivery: Delivery, rejection: Rejection) -> None:
        """Report `FAILED` with all problems of the task."""
        error, details = rejection.message, rejection_details(rejection)
        await self._send(delivery, failed_body(self.context, delivery.claim["task"], error, details))

    async def report(self, message: OpenMessage, update: Update) -> None:
        """Log the progress. The API has no way to receive it."""
        log.debug("Job %s: %.0f %%", message.key.message_id, update.progress * 100, text=update.text)

    async def finish(self, message: OpenMessage, outcome: Outcome) -> None:
        """Report `COMPLETED` with the files, or `FAILED` with the error."""
        identity, execution = message.key.message_id, str(message.execution_id)
        # Logged after the sending: while the API is away, this method is called again and again.
        if outcome.succeeded:
            await self._send(message, completed_body(self.context, identity, outcome))
            log.info("Job %s completed successfully", identity, execution=execution)
            return
        await self._send(message, failed_body(self.context, identity, outcome.error, failure_details(outcome)))
        log.error("Job %s failed: %s", identity, outcome.error, execution=execution)

    async def keep_alive(self, messages: Collection[Claimed]) -> None:
        """Renew the leases of tasks, and cancel those that are no longer wanted."""
        for message in messages:
            url = message.claim.get("lease")
            if url is not None and not await self._api.renew(url):
                key = message.key
                if await self.context.cancel(key.source, key.message_id):
                    log.warning("Task %s was cancelled, or given to another worker", key.message_id)

    async def _send(self, message: Claimed, body: CallbackBody) -> None:
        """Send a result. A refused one is sent again up to the limit, then given up."""
        identity, url = message.key.message_id, message.claim["callback"]
        if url is None:
            log.error("Task %s has neither an id nor a callback_url: its end cannot be reported", identity)
            return
        for refusal in range(1, self._max_refusals + 1):
            try:
                await self._api.send(url, body)
            except CallbackRefused as error:
                if error.is_gone or refusal == self._max_refusals:
                    log.error("Failed to notify completion for task %s", identity, error=str(error), attempts=refusal)
                    return
                log.warning("Notification for task %s was refused, retrying", identity, error=str(error))
                await asyncio.sleep(2.0 ** (refusal - 1))
            else:
                log.info("Successfully notified completion for task %s", identity)
                return
