"""Delivery of the webhooks in the outbox."""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.outages import DATABASE_ERRORS, TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.standard_webhooks import signed_headers
from callsheet.engine.reads.artifacts import SignUrl
from callsheet.files.fetch import redact_url
from callsheet.files.receiver_urls import callback_problems
from callsheet.files.ssrf_guard import guarded_client
from callsheet.metrics import catalog
from callsheet.metrics.changes import count, observe
from callsheet.notify.delivery import DeliveryResult, deliver
from callsheet.notify.endpoint_health import record_failure, record_success
from callsheet.notify.payload import Webhook, build_payload
from callsheet.notify.receivers import MAX_CONCURRENT, Receivers
from callsheet.notify.retry_schedule import retry_delay
from callsheet.notify.signature import endpoint_secret, installation_secret
from callsheet.settings import Settings
from callsheet.tracing import Span, current_traceparent, span, traceparent_of

log = structlog.get_logger(__name__)

_WINDOW = 500
"""Due webhooks that one query reads."""
_POLL_INTERVAL = 1.0
"""Seconds between two checks of the outbox when nothing is due."""
_MIN_INTERVAL = 0.02
"""Seconds between two checks of the outbox."""
_LEASE_MARGIN = 30.0
"""Seconds by which the lease of a claimed webhook exceeds the request timeout."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a webhook is sent."""

    url: str
    secrets: tuple[bytes, ...]
    endpoint_id: UUID | None = None
    is_alert: bool = False
    """The URL is that of the settings."""
    refusal: str | None = None
    """Why it must not be sent."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A claimed webhook."""

    webhook: Webhook
    target: _Target
    attempts: int
    """Number of this attempt."""
    tries: int
    """Attempts since the webhook was written, or last sent again by hand."""


class WebhookSender:
    """Sends due webhooks until it is cancelled. Several processes can run one each.

    Delivery is at least once: when a process ends during a delivery, the webhook is sent again after its lease.
    """

    def __init__(
        self,
        database: Database,
        *,
        sign: SignUrl,
        key: bytes,
        settings: Settings,
        base_url: str,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._database = database
        self._sign = sign
        self._key = key
        self._settings = settings
        self._base_url = base_url
        self._timeout = settings.webhook_timeout.total_seconds()
        self._client = client
        self._alert_url = settings.alert_webhook_url.get_secret_value() if settings.alert_webhook_url else None
        self._receivers = Receivers()
        self._deliveries: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with (
            self._client or self._guarded_client(self._settings) as client,
            # The alert URL comes from the operator of this installation, and may be on a private network.
            self._guarded_client(self._settings.model_copy(update={"allow_private_addresses": True})) as alert_client,
        ):
            try:
                while True:
                    await self._wait(await self._claim_and_send(client, alert_client))
            finally:
                for task in self._deliveries:
                    task.cancel()
                await asyncio.gather(*self._deliveries, return_exceptions=True)

    def _guarded_client(self, settings: Settings) -> httpx2.AsyncClient:
        return guarded_client(settings, timeout=self._timeout, max_connections=MAX_CONCURRENT)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, _MIN_INTERVAL))
        if not self._receivers.free:
            await asyncio.wait(self._deliveries, return_when=asyncio.FIRST_COMPLETED)

    async def _claim_and_send(self, client: httpx2.AsyncClient, alert_client: httpx2.AsyncClient) -> float:
        """Start the delivery of due webhooks. Return the seconds until the next ones are expected."""
        try:
            claimed, seconds = await self._claim()
        except DATABASE_ERRORS as error:
            self._database.outage.failed("claim webhooks", error)
            return _POLL_INTERVAL
        for delivery in claimed:
            chosen = alert_client if delivery.target.is_alert else client
            task = asyncio.create_task(self._deliver(chosen, delivery), name=f"webhook {delivery.webhook.id}")
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        return seconds

    async def _claim(self) -> tuple[list[_Delivery], float]:
        started: dict[UUID, _Target] = {}
        postponed: dict[UUID, float] = {}
        try:
            async with self._database.transaction() as connection:
                due = await sql.lock_due_webhooks(connection, alerts=self._alert_url is not None, limit=_WINDOW)
                for row in due:
                    target = self._target(row)
                    delay = self._receivers.start(row["id"], target.url)
                    if delay is None:
                        started[row["id"]] = target
                    else:
                        postponed[row["id"]] = delay
                rows = await self._store_claim(connection, list(started), postponed)
        except BaseException:
            for webhook, target in started.items():
                self._receivers.abandon(webhook, target.url)
            raise
        seconds = min([_POLL_INTERVAL, *postponed.values()]) if len(due) < _WINDOW else 0.0
        return [_delivery(row, started[row["id"]]) for row in rows], seconds

    async def _store_claim(
        self, connection: Connection, started: list[UUID], postponed: dict[UUID, float]
    ) -> list[Any]:
        if postponed:
            await sql.postpone_webhooks(connection, ids=list(postponed), delays=list(postponed.values()))
        if not started:
            return []
        rows: list[Any] = await sql.lease_webhooks(connection, ids=started, lease=self._timeout + _LEASE_MARGIN)
        return rows

    def _target(self, row: Any) -> _Target:
        if row["endpoint_id"] is None and row["url"] is None:
            return _Target(self._alert_url or "", (installation_secret(self._key),), is_alert=True)
        if row["endpoint_id"] is None:
            return _Target(row["url"], (installation_secret(self._key),), refusal=self._refusal(row["url"]))
        if row["url"] is None:
            return _Target("", (), row["endpoint_id"], refusal="not sent: the endpoint was deleted")
        numbers = [row["secret_number"], *([row["secret_number"] - 1] if row["is_rotating"] else [])]
        secrets = tuple(endpoint_secret(self._key, row["endpoint_id"], number) for number in numbers)
        refusal = "not sent: the endpoint is disabled" if row["disabled"] else self._refusal(row["url"])
        return _Target(row["url"], secrets, row["endpoint_id"], refusal=refusal)

    def _refusal(self, url: str) -> str | None:
        problems = callback_problems(url, self._settings)
        return f"not sent: the URL {problems[0].message}" if problems else None

    async def _deliver(self, client: httpx2.AsyncClient, delivery: _Delivery) -> None:
        result = DeliveryResult("not sent: the process stopped")
        try:
            result = await self._attempt(client, delivery)
        finally:
            self._receivers.finish(
                delivery.webhook.id,
                delivery.target.url,
                delivered=result.delivered,
                retry_after=result.retry_after,
            )
        try:
            await self._record(delivery, result)
        except TRANSIENT_ERRORS as error:
            log.warning("delivery result was not stored, the webhook will be sent again", error=type(error).__name__)
        except asyncpg.PostgresError as error:
            log.error("delivery result was not stored", webhook=str(delivery.webhook.id), exc_info=error)

    async def _attempt(self, client: httpx2.AsyncClient, delivery: _Delivery) -> DeliveryResult:
        target = delivery.target
        if target.refusal is not None:
            return DeliveryResult(target.refusal, final=True)
        try:
            body = build_payload(delivery.webhook, sign=self._sign, base_url=self._base_url)
        except Exception as error:
            log.error("webhook could not be built", webhook=str(delivery.webhook.id), exc_info=error)
            return DeliveryResult(f"not sent: {type(error).__name__}")
        headers = signed_headers(target.secrets, str(delivery.webhook.id), datetime.now(UTC), body)
        with _span(delivery) as current:
            if (traceparent := current_traceparent()) is not None:
                headers = {**headers, "traceparent": traceparent}
            result = await deliver(client, target.url, body, headers, timeout=self._timeout)
            if not result.delivered:
                current.fail(result.message)
            return result

    async def _record(self, delivery: _Delivery, result: DeliveryResult) -> None:
        delay = None
        if not result.delivered and not result.final:
            delay = retry_delay(delivery.tries, self._settings.webhook_attempts, result.retry_after)

        async def record(connection: Connection) -> None:
            endpoint_id = delivery.target.endpoint_id
            # The endpoint first: one that is disabled is locked before its webhooks.
            if endpoint_id is not None and delivery.target.refusal is None:
                if result.delivered:
                    await record_success(connection, endpoint_id)
                else:
                    await record_failure(connection, endpoint_id, result, self._settings)
            await sql.record_attempt(
                connection,
                id=delivery.webhook.id,
                number=delivery.attempts,
                duration=result.duration,
                status=result.status,
                response=result.message,
                delivered=result.delivered,
                delay=delay,
            )

        await self._database.retry(record, transaction=True)
        if delivery.target.refusal is None:
            count(
                catalog.WEBHOOK_DELIVERIES,
                "delivered" if result.delivered else "failed" if delay is None else "retried",
            )
            observe(catalog.WEBHOOK_LATENCY, result.duration)
        _log_result(delivery, result, delay)


def _delivery(row: Any, target: _Target) -> _Delivery:
    webhook = Webhook(
        row["id"],
        row["type"],
        row["created_at"],
        row["execution_id"],
        row["event_number"],
        row["data"],
        row["traceparent"],
    )
    return _Delivery(webhook, target, row["attempts"], row["attempts"] - row["resent_after"])


def _span(delivery: _Delivery) -> AbstractContextManager[Span]:
    webhook = delivery.webhook
    facts: dict[str, str | int] = {"callsheet.webhook": str(webhook.id), "callsheet.attempt": delivery.attempts}
    if webhook.execution_id is None:
        return span(f"webhook {webhook.type}", kind="client", attributes=facts)
    facts["callsheet.execution"] = str(webhook.execution_id)
    parent = traceparent_of(webhook.traceparent, webhook.execution_id)
    return span(f"webhook {webhook.type}", kind="client", parent=parent, attributes=facts)


def _log_result(delivery: _Delivery, result: DeliveryResult, delay: float | None) -> None:
    target, webhook = delivery.target, delivery.webhook
    facts = {
        "webhook": str(webhook.id),
        "type": webhook.type,
        "execution": str(webhook.execution_id) if webhook.execution_id else None,
        "endpoint": str(target.endpoint_id) if target.endpoint_id else None,
        # The path of an alert URL is often its only secret.
        "to": "the alert URL" if target.is_alert else redact_url(target.url),
        "response": result.message,
        "attempts": delivery.attempts,
    }
    facts = {name: value for name, value in facts.items() if value is not None}
    if result.delivered:
        log.info("webhook delivered", **facts)
    elif delay is None:
        log.warning("webhook failed permanently", **facts)
    else:
        log.info("webhook delivery failed, will retry", delay=round(delay), **facts)
