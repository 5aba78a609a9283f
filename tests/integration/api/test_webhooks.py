"""Outgoing webhooks, from the outbox to a receiver on a real socket."""

import asyncio
import base64
import hmac
import json
from contextlib import asynccontextmanager

import pytest
from pydantic import TypeAdapter

from callsheet.files.ssrf_guard import guarded_client
from callsheet.notify import retry_schedule, webhooks
from callsheet.notify.payload_schema import ExecutionWebhook
from callsheet.notify.signature import webhook_secret
from callsheet.notify.webhooks import WebhookSender


class Receiver:
    """An HTTP server with scripted responses that records its requests."""

    def __init__(self, responses):
        self.responses = list(responses)
        self.received = asyncio.Queue()

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        TypeAdapter(ExecutionWebhook).validate_json(body)
        response = self.responses.pop(0) if self.responses else "204 No Content"
        if response == "hang":
            await self.received.put((first, headers, body))
            await asyncio.sleep(30)
        writer.write(f"HTTP/1.1 {response}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        if response != "hang":
            await self.received.put((first, headers, body))

    async def next(self):
        return await asyncio.wait_for(self.received.get(), 15)


@asynccontextmanager
async def receiving(*responses):
    receiver = Receiver(responses)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?token=t"
    try:
        yield receiver
    finally:
        server.close()


@asynccontextmanager
async def sending(runtime):
    task = asyncio.create_task(runtime.webhook_sender().run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"allow_private_addresses": True, "webhook_attempts": 3})


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

    message = json.loads(body)
    assert first == "POST /hook?token=t HTTP/1.1"
    assert message["type"] == "execution.succeeded"
    assert message["data"]["executionId"] == execution_id
    assert message["data"]["metadata"] == {"order": 7}
    assert "sig=" in message["data"]["artifacts"][0]["url"]
    assert "params" not in message["data"]["jobs"][0]
    assert headers["webhook-id"] == str(row["id"])
    secret = base64.b64decode(webhook_secret(working.runtime.key).removeprefix("whsec_"))
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
        await quick.next()
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
            runtime.database, working.engine.execution, key=runtime.key, settings=closed, base_url="", client=client
        )
        task = asyncio.create_task(sender.run())
        row = await outbox_row_with(working.runtime, execution_id, "failed_at")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert "private" in row["last_response"]
    assert receiver.received.empty()
