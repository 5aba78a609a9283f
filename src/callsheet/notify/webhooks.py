"""Delivery of the webhooks in the outbox."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import structlog

from callsheet.db.database import Database
from callsheet.db.outages import DATABASE_ERRORS, TRANSIENT_ERRORS
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
"""Returns an execution as clients see it; raises NotFound."""

_MAX_CONCURRENT = 20
"""Deliveries at the same time."""
_POLL_INTERVAL = 1.0
"""Seconds between two checks of the outbox when it is empty."""
_LEASE_MARGIN = 30.0
"""Seconds by which the lease of a claimed webhook exceeds the request timeout."""
_GONE = 410


@dataclass(frozen=True, slots=True)
class _DeliveryResult:
    """Result of an attempt: delivered, to be retried, or final."""

    message: str
    delivered: bool = False
    final: bool = False
    retry_after: float | None = None


class WebhookSender:
    """Sends due webhooks until it is cancelled. Several processes can run one each.

    Delivery is at least once: when a process ends during a delivery, the webhook is sent again after its lease.
    """

    def __init__(
        self,
        database: Database,
        read_execution: ReadExecution,
        *,
        key: bytes,
        settings: Settings,
        base_url: str,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._database = database
        self._read_execution = read_execution
        self._key = key
        self._settings = settings
        self._base_url = base_url
        self._timeout = settings.webhook_timeout.total_seconds()
        self._client = client
        self._deliveries: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with self._client or guarded_client(self._settings, timeout=self._timeout) as client:
            try:
                while True:
                    claimed = await self._claim_and_send(client)
                    if not claimed:
                        await asyncio.sleep(_POLL_INTERVAL)
            finally:
                for task in self._deliveries:
                    task.cancel()
                await asyncio.gather(*self._deliveries, return_exceptions=True)

    async def _claim_and_send(self, client: httpx2.AsyncClient) -> int:
        """Start the delivery of due webhooks, as many as slots are free. Return their number."""
        if len(self._deliveries) >= _MAX_CONCURRENT:
            await asyncio.wait(self._deliveries, return_when=asyncio.FIRST_COMPLETED)
        free, lease = _MAX_CONCURRENT - len(self._deliveries), self._timeout + _LEASE_MARGIN
        try:
            async with self._database.connection() as connection:
                webhooks = await sql.claim_webhooks(connection, limit=free, lease=lease)
        except DATABASE_ERRORS as error:
            self._database.outage.failed("claim webhooks", error)
            return 0
        for webhook in webhooks:
            task = asyncio.create_task(self._deliver(client, webhook), name=f"webhook {webhook['id']}")
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        return len(webhooks)

    async def _deliver(self, client: httpx2.AsyncClient, webhook: Any) -> None:
        try:
            result = await self._attempt(client, webhook)
            await self._record(webhook, result)
        except TRANSIENT_ERRORS as error:
            log.warning("delivery result was not stored, the webhook will be sent again", error=type(error).__name__)
        except Exception as error:
            log.error("webhook could not be built", webhook=str(webhook["id"]), exc_info=error)
            await self._record(webhook, _DeliveryResult(f"not sent: {type(error).__name__}"))

    async def _attempt(self, client: httpx2.AsyncClient, webhook: Any) -> _DeliveryResult:
        if problems := callback_problems(webhook["url"], self._settings):
            return _DeliveryResult(f"not sent: the URL {problems[0].message}", final=True)
        try:
            body = await self._build_body(webhook)
        except NotFound:
            return _DeliveryResult("not sent: the execution was deleted", final=True)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(client, webhook, body)
        except BadSource as error:
            return _DeliveryResult(error.message, final=True)
        except (TimeoutError, httpx2.TimeoutException):
            return _DeliveryResult(f"no response within {self._timeout:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return _DeliveryResult(f"{type(error).__name__}: {error}"[:300])

    async def _build_body(self, webhook: Any) -> bytes:
        execution = await self._read_execution(webhook["execution_id"])
        url = f"{self._base_url}/api/executions/{execution.execution_id}"
        return build_payload(webhook["type"], webhook["created_at"], execution, status_url=url)

    async def _post(self, client: httpx2.AsyncClient, webhook: Any, body: bytes) -> _DeliveryResult:
        headers = signed_headers(self._key, str(webhook["id"]), datetime.now(UTC), body)
        headers["Content-Type"] = "application/json"
        # The response body is not read, as it can be endless.
        async with client.stream("POST", webhook["url"], content=body, headers=headers) as response:
            message = f"{response.status_code} {response.reason_phrase}".strip()
            if response.is_redirect:
                message += " (redirects are not followed)"
            return _DeliveryResult(
                message,
                delivered=response.is_success,
                final=response.status_code == _GONE,
                retry_after=parse_retry_after(response.headers.get("Retry-After")),
            )

    async def _record(self, webhook: Any, result: _DeliveryResult) -> None:
        facts = {
            "execution": str(webhook["execution_id"]),
            "to": redact_url(webhook["url"]),
            "response": result.message,
        }
        if result.delivered:
            await self._database.retry(lambda c: sql.webhook_delivered(c, id=webhook["id"], response=result.message))
            log.info("webhook delivered", **facts)
            return
        delay = None
        if not result.final:
            delay = retry_delay(webhook["attempts"], self._settings.webhook_attempts, result.retry_after)
        await self._database.retry(
            lambda c: sql.webhook_failed(c, id=webhook["id"], response=result.message, delay=delay)
        )
        if delay is None:
            log.warning("webhook failed permanently", attempts=webhook["attempts"], **facts)
        else:
            log.info("webhook delivery failed, will retry", delay=round(delay), attempts=webhook["attempts"], **facts)
