"""Sending the webhooks that wait in the outbox."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import structlog

from callsheet.db.database import TRANSIENT_ERRORS, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import BadSource, NotFound
from callsheet.domain.records import Execution
from callsheet.files.fetch import parse_retry_after, redact_url
from callsheet.files.ssrf_guard import guarded_client
from callsheet.notify.callback import callback_problems
from callsheet.notify.payload import build_payload
from callsheet.notify.retry_schedule import retry_delay
from callsheet.notify.signature import signed_headers
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

ReadExecution = Callable[[UUID], Awaitable[Execution]]
"""Reads an execution as clients see it; raises NotFound."""

_SEATS = 20
"""Webhooks under way at once."""
_LOOK_EVERY = 1.0
_LEASE_MARGIN = 30.0
"""Seconds on top of the timeout before another process may take a notice that one has claimed."""
_GONE = 410


@dataclass(frozen=True, slots=True)
class _DeliveryResult:
    """How an attempt went: delivered, worth another attempt, or final."""

    words: str
    delivered: bool = False
    final: bool = False
    retry_after: float | None = None


class WebhookSender:
    """Sends due webhooks until it is cancelled; any number of processes may do so at once.

    Each is sent at least once: one that was under way when its process ended is sent again after a while.
    """

    def __init__(
        self,
        database: Database,
        view: ReadExecution,
        *,
        key: bytes,
        settings: Settings,
        base_url: str,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._database = database
        self._view = view
        self._key = key
        self._settings = settings
        self._base_url = base_url
        self._timeout = settings.webhook_timeout.total_seconds()
        self._client = client
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with self._client or guarded_client(self._settings, timeout=self._timeout) as client:
            try:
                while True:
                    claimed = await self._claim_and_send(client)
                    if not claimed:
                        await asyncio.sleep(_LOOK_EVERY)
            finally:
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _claim_and_send(self, client: httpx2.AsyncClient) -> int:
        """Begin to send as many due notices as there are free slots; returns how many."""
        if len(self._under_way) >= _SEATS:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        free, lease = _SEATS - len(self._under_way), self._timeout + _LEASE_MARGIN
        try:
            async with self._database.connection() as connection:
                notices = await sql.claim_webhooks(connection, most=free, lease=lease)
        except TRANSIENT_ERRORS as error:
            log.warning("webhooks wait for the database", error=type(error).__name__)
            return 0
        for notice in notices:
            task = asyncio.create_task(self._deliver(client, notice), name=f"webhook {notice['id']}")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(notices)

    async def _deliver(self, client: httpx2.AsyncClient, notice: Any) -> None:
        try:
            answer = await self._answer(client, notice)
            await self._record(notice, answer)
        except TRANSIENT_ERRORS as error:
            log.warning("a webhook's outcome was not stored; it is sent again", error=type(error).__name__)
        except Exception as error:
            log.error("a webhook could not be made", notice=str(notice["id"]), exc_info=error)
            await self._record(notice, _DeliveryResult(f"not sent: {type(error).__name__}"))

    async def _answer(self, client: httpx2.AsyncClient, notice: Any) -> _DeliveryResult:
        if problems := callback_problems(notice["url"], self._settings):
            return _DeliveryResult(f"not sent: the URL {problems[0].message}", final=True)
        try:
            body = await self._body(notice)
        except NotFound:
            return _DeliveryResult("not sent: the execution is not there any more", final=True)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(client, notice, body)
        except BadSource as error:
            return _DeliveryResult(error.message, final=True)
        except (TimeoutError, httpx2.TimeoutException):
            return _DeliveryResult(f"no answer within {self._timeout:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return _DeliveryResult(f"{type(error).__name__}: {error}"[:300])

    async def _body(self, notice: Any) -> bytes:
        execution = await self._view(notice["execution_id"])
        url = f"{self._base_url}/api/executions/{execution.execution_id}"
        return build_payload(notice["type"], notice["created_at"], execution, status_url=url)

    async def _post(self, client: httpx2.AsyncClient, notice: Any, body: bytes) -> _DeliveryResult:
        headers = signed_headers(self._key, str(notice["id"]), datetime.now(UTC), body)
        headers["Content-Type"] = "application/json"
        # Only the head of the answer is read: its body may be endless.
        async with client.stream("POST", notice["url"], content=body, headers=headers) as answer:
            words = f"{answer.status_code} {answer.reason_phrase}".strip()
            if answer.is_redirect:
                words += " (redirects are not followed)"
            return _DeliveryResult(
                words,
                delivered=answer.is_success,
                final=answer.status_code == _GONE,
                retry_after=parse_retry_after(answer.headers.get("Retry-After")),
            )

    async def _record(self, notice: Any, answer: _DeliveryResult) -> None:
        facts = {"execution": str(notice["execution_id"]), "to": redact_url(notice["url"]), "answer": answer.words}
        if answer.delivered:
            await self._database.retry(lambda c: sql.webhook_delivered(c, id=notice["id"], answer=answer.words))
            log.info("webhook delivered", **facts)
            return
        delay = None
        if not answer.final:
            delay = retry_delay(notice["attempts"], self._settings.webhook_attempts, answer.retry_after)
        await self._database.retry(lambda c: sql.webhook_failed(c, id=notice["id"], answer=answer.words, delay=delay))
        if delay is None:
            log.warning("webhook given up", attempts=notice["attempts"], **facts)
        else:
            log.info("webhook put off", seconds=round(delay), attempts=notice["attempts"], **facts)
