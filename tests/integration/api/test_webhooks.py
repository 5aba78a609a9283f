"""Outgoing webhooks, from the outbox to a receiver on a real socket."""

import asyncio
import base64
import hmac
import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from callsheet.engine.worker.cleaner import clean_up
from callsheet.files.cache import FileCache
from callsheet.files.ssrf_guard import guarded_client
from callsheet.notify import retry_schedule, webhooks
from callsheet.notify.payload_schema import ExecutionWebhook
from callsheet.notify.signature import installation_secret
from callsheet.notify.webhooks import WebhookSender

from .receiver import receiving, sending


@pytest.fixture
def settings(settings):
    changes = {"allow_private_addresses": True, "webhook_attempts": 3, "webhook_timeout": timedelta(seconds=1)}
    return settings.model_copy(update=changes)


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    monkeypatch.setattr(retry_schedule, "_DELAYS", (0.05, 0.05))
    monkeypatch.setattr(webhooks, "_POLL_INTERVAL", 0.05)


async def outbox_row(runtime, execution_id):
    async with runtime.database.connection() as connection:
        return await connection.fetchrow("SELECT * FROM outbox WHERE execution_id = $1", execution_id)


async def outbox_row_with(runtime, execution_id, column):
    """Wait until a column of the outbox row of an execution has a value."""
    async with asyncio.timeout(15):
        while (row := await outbox_row(runtime, execution_id)) is None or not row[column]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return row


async def test_the_end_of_an_execution_is_delivered_with_a_valid_signature(working):
    async with receiving() as receiver, sending(working.runtime):
        execution_id = await working.submit(
            ("a", "write", {"text": "x"}), callbackUrl=receiver.url, metadata={"order": 7}
        )
        first, headers, body = await receiver.next()
        row = await outbox_row_with(working.runtime, execution_id, "delivered_at")

    TypeAdapter(ExecutionWebhook).validate_json(body)
    message = json.loads(body)
    assert first == "POST /hook?token=t HTTP/1.1"
    assert message["type"] == "execution.succeeded"
    assert message["data"]["executionId"] == execution_id
    assert message["data"]["metadata"] == {"order": 7}
    assert "sig=" in message["data"]["artifacts"][0]["url"]
    assert "params" not in message["data"]["jobs"][0]
    assert headers["webhook-id"] == str(row["id"])
    secret = installation_secret(working.runtime.key)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert row["last_response"] == "204 No Content"


async def test_a_failed_delivery_is_retried_with_the_same_id(working):
    async with (
        receiving("500 Oops", "302 Found\r\nLocation: http://127.0.0.1:1/") as receiver,
        sending(working.runtime),
    ):
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
        ids = [(await receiver.next())[1]["webhook-id"] for _ in range(3)]
        row = await outbox_row_with(working.runtime, execution_id, "delivered_at")

    assert len(set(ids)) == 1
    assert row["attempts"] == 3


async def test_a_delivery_is_given_up_after_the_last_attempt(working):
    async with receiving("500 a", "500 b", "500 c") as receiver, sending(working.runtime):
        execution_id = await working.submit(("a", "fail", {}), callbackUrl=receiver.url)
        row = await outbox_row_with(working.runtime, execution_id, "failed_at")

    assert (row["attempts"], row["last_response"], row["type"]) == (3, "500 c", "execution.failed")


async def test_a_410_response_gives_up_at_once(working):
    async with receiving("410 Gone") as receiver, sending(working.runtime):
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
        row = await outbox_row_with(working.runtime, execution_id, "failed_at")

    assert row["attempts"] == 1


async def test_retry_after_is_respected(working):
    async with receiving("429 Slow\r\nRetry-After: 3600") as receiver, sending(working.runtime):
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
        row = await outbox_row_with(working.runtime, execution_id, "last_response")

    async with working.runtime.database.connection() as connection:
        assert (row["due_at"] - await connection.fetchval("SELECT now()")).total_seconds() > 3500


async def test_a_receiver_that_hangs_delays_neither_other_receivers_nor_jobs(working):
    async with receiving("hang") as slow, receiving() as quick, sending(working.runtime):
        await working.submit(("a", "noop", {}), callbackUrl=slow.url)
        await slow.next()
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=quick.url)
        assert json.loads((await quick.next())[2])["data"]["executionId"] == execution_id
        await outbox_row_with(working.runtime, execution_id, "delivered_at")


async def test_several_senders_deliver_each_webhook_once(working):
    async with receiving() as receiver, sending(working.runtime), sending(working.runtime), sending(working.runtime):
        ids = [await working.submit(("a", "noop", {}), callbackUrl=receiver.url) for _ in range(10)]
        delivered = [json.loads((await receiver.next())[2])["data"]["executionId"] for _ in ids]
        for execution_id in ids:
            await outbox_row_with(working.runtime, execution_id, "delivered_at")

    assert sorted(delivered) == sorted(ids)
    assert receiver.received.empty()


async def test_a_private_address_is_rejected_at_delivery_too(working):
    async with receiving() as receiver:
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
        await working.ended(execution_id)
        async with working.runtime.database.connection() as connection:
            await connection.execute("UPDATE outbox SET url = 'https://localtest.example/'")
        closed = working.runtime.settings.model_copy(update={"allow_private_addresses": False})

        async def private(host, port):
            return ["10.0.0.7"]

        client = guarded_client(closed, resolve=private)
        runtime = working.runtime
        sender = WebhookSender(
            runtime.database, sign=runtime.sign, key=runtime.key, settings=closed, base_url="", client=client
        )
        task = asyncio.create_task(sender.run())
        row = await outbox_row_with(working.runtime, execution_id, "failed_at")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert "private" in row["last_response"]
    assert receiver.received.empty()


async def test_a_dead_receiver_with_many_webhooks_holds_up_no_other_receiver(working):
    patient = working.runtime.settings.model_copy(update={"webhook_timeout": timedelta(minutes=2)})
    runtime = replace(working.runtime, settings=patient)
    async with receiving(default="hang") as dead, receiving() as healthy, sending(runtime):
        for number in range(60):
            await working.submit(("a", "noop", {}), callbackUrl=f"{dead.url}&order={number}")
        for _ in range(16):
            await dead.next()
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=healthy.url)
        await outbox_row_with(working.runtime, execution_id, "delivered_at")
        rows = await fetch(working.runtime, "SELECT count(*) FROM outbox WHERE attempts > 0")

        assert dead.received.empty(), "at most 16 deliveries to a URL at a time"
    assert rows[0]["count"] == 17


async def test_a_webhook_that_is_sent_again_says_what_was_true_when_it_was_written(working):
    async with receiving("503 Down") as receiver:
        execution_id = await working.submit(("a", "fail", {}), callbackUrl=receiver.url)
        await working.ended(execution_id)
        # Before the first attempt, the execution is retried by hand, and ends again.
        await working.engine.retry(UUID(execution_id))
        await working.engine.wait(UUID(execution_id), "execution.failed", after=6)
        async with sending(working.runtime):
            messages = [await receiver.next() for _ in range(3)]

    by_id = {}
    for _, headers, body in messages:
        by_id.setdefault(headers["webhook-id"], []).append(json.loads(body))
    first, second = sorted((bodies for bodies in by_id.values()), key=lambda bodies: bodies[0]["data"]["eventNumber"])
    assert sorted([len(first), len(second)]) == [1, 2]
    assert all(body == bodies[0] for bodies in (first, second) for body in bodies)
    assert [bodies[0]["data"]["lastEvent"] for bodies in (first, second)] == [
        bodies[0]["data"]["eventNumber"] for bodies in (first, second)
    ]
    assert first[0]["data"]["finishedAt"] < second[0]["data"]["finishedAt"]
    assert first[0]["data"]["jobs"][0]["finishedAt"] < second[0]["data"]["jobs"][0]["finishedAt"]


async def test_a_webhook_carries_the_error_of_a_job_without_its_traceback(working):
    async with receiving() as receiver, sending(working.runtime):
        await working.submit(("a", "fail", {}), callbackUrl=receiver.url)
        message = await receiver.next_message()

    (job,) = message["data"]["jobs"]
    assert (job["status"], job["error"]["attempt"], job["error"].get("traceback")) == ("failed", 1, None)
    assert message["data"]["jobCounts"] == {"failed": 1}


async def test_the_stored_facts_of_a_large_execution_are_small(working):
    big = {"text": "x" * 30_000}
    async with receiving() as receiver, sending(working.runtime):
        jobs = [(f"j{n}", "write", big) for n in range(3)] + [(f"n{n}", "noop", {}) for n in range(150)]
        execution_id = await working.submit(*jobs, callbackUrl=receiver.url, metadata={"note": "y" * 25_000})
        message = await receiver.next_message()
        row = await outbox_row(working.runtime, execution_id)

    assert (message["data"]["truncated"], message["data"]["jobCounts"]) == (True, {"succeeded": 153})
    assert len(row["data"]) < 20_000


@pytest.mark.parametrize(
    ("response", "recorded"),
    [
        ("reset", ("ReadError", "RemoteProtocolError")),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", "302 Found (redirects are not followed)"),
        ("500 Oops", "500 Oops"),
        ("hang", "no response within 1 s"),
    ],
)
async def test_bad_weather_is_recorded_and_the_webhook_is_sent_again(working, response, recorded):
    async with receiving(response) as receiver, sending(working.runtime):
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
        row = await outbox_row_with(working.runtime, execution_id, "delivered_at")
        attempts = await fetch(
            working.runtime, "SELECT number, status, response, duration FROM webhook_attempts ORDER BY number"
        )

    assert row["attempts"] == 2
    assert [attempt["number"] for attempt in attempts] == [1, 2]
    assert attempts[0]["response"].startswith(recorded)
    assert attempts[0]["status"] == (int(response[:3]) if response[:3].isdecimal() else None)
    assert 0 < attempts[0]["duration"] < 30
    assert (attempts[1]["status"], attempts[1]["response"]) == (204, "204 No Content")


async def test_a_response_whose_body_never_ends_counts_as_delivered(working):
    async with receiving("drip") as receiver, sending(working.runtime):
        execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
        row = await outbox_row_with(working.runtime, execution_id, "delivered_at")

    assert (row["attempts"], row["last_response"]) == (1, "200 OK")


async def test_a_webhook_whose_sender_died_is_sent_again_after_its_lease(working, monkeypatch):
    monkeypatch.setattr(webhooks, "_LEASE_MARGIN", 0.0)
    async with receiving("hang") as receiver:
        async with sending(working.runtime):
            execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
            first = await receiver.next()
        async with sending(working.runtime):
            second = await receiver.next()
            await outbox_row_with(working.runtime, execution_id, "delivered_at")

    assert first[1]["webhook-id"] == second[1]["webhook-id"]
    assert first[2] == second[2]


async def test_old_webhooks_are_deleted_with_their_attempts(working):
    async with receiving() as receiver, sending(working.runtime):
        for _ in range(2):
            execution_id = await working.submit(("a", "noop", {}), callbackUrl=receiver.url)
            await outbox_row_with(working.runtime, execution_id, "delivered_at")
    runtime = working.runtime
    await fetch(runtime, "UPDATE outbox SET created_at = now() - interval '8 days' WHERE number = 1")
    await fetch(
        runtime,
        "INSERT INTO outbox (url, type, data, created_at) VALUES ('https://x.test', 't', '{}', now() - interval '9 d')",
    )

    await clean_up(
        runtime.database,
        runtime.storage,
        FileCache(runtime.storage, max_age=timedelta(days=1)),
        interval=timedelta(0),
        upload_max_age=timedelta(days=1),
        webhook_history=timedelta(days=7),
        audit_history=timedelta(days=365),
        schedule_history=timedelta(days=90),
    )

    left = await fetch(runtime, "SELECT delivered_at IS NULL AS waits FROM outbox ORDER BY number")
    assert [row["waits"] for row in left] == [False, True], "one that waits is kept"
    assert len(await fetch(runtime, "SELECT FROM webhook_attempts")) == 1


async def fetch(runtime, query, *values):
    async with runtime.database.connection() as connection:
        return await connection.fetch(query, *values)
