"""Webhook endpoints: what they receive, their secrets, their deliveries, and when they are disabled."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter
from standardwebhooks import Webhook, WebhookVerificationError

from callsheet.notify import receivers, retry_schedule, webhooks
from callsheet.notify.payload_schema import EventWebhook, ExecutionWebhook

from .conftest import codes
from .receiver import receiving, sending

ENDPOINTS = "/api/webhook-endpoints"
DELIVERIES = "/api/webhook-deliveries"


@pytest.fixture
def settings(settings):
    changes = {"allow_private_addresses": True, "webhook_attempts": 2, "webhook_timeout": timedelta(seconds=10)}
    return settings.model_copy(update=changes)


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    monkeypatch.setattr(retry_schedule, "_DELAYS", (0.05, 0.05))
    monkeypatch.setattr(webhooks, "_POLL_INTERVAL", 0.05)
    monkeypatch.setattr(receivers, "_FAILURES_BEFORE_PAUSE", 1000)


async def created(api, url, *event_types, **more):
    body = {"url": url, **more} | ({"eventTypes": list(event_types)} if event_types else {})
    response = await api.client.post(ENDPOINTS, json=body)
    assert response.status_code == 201, response.text
    return response.json()


async def fetch(api, query, *values):
    async with api.runtime.database.connection() as connection:
        return await connection.fetch(query, *values)


async def rows_of(api, number, query):
    """Wait until a query returns a number of rows."""
    async with asyncio.timeout(30):
        while len(await fetch(api, query)) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def delivery_with(api, status, *, attempts=1, **filters):
    """Wait for a delivery with a status; return it with its attempts."""
    async with asyncio.timeout(30):
        while True:
            response = await api.client.get(DELIVERIES, params={"status": status, **filters})
            for found in response.json()["deliveries"]:
                if found["attempts"] >= attempts:
                    return (await api.client.get(f"{DELIVERIES}/{found['id']}")).json()
            await asyncio.sleep(0.05)


async def test_an_endpoint_is_created_listed_changed_and_deleted(api):
    endpoint = await created(api, "https://example.com/hooks", description="Orders")
    path = f"{ENDPOINTS}/{endpoint['id']}"

    assert endpoint["secret"].startswith("whsec_")
    assert endpoint["eventTypes"] == ["execution.succeeded", "execution.failed", "execution.cancelled"]
    read = (await api.client.get(path)).json()
    assert "secret" not in read
    assert (await api.client.get(ENDPOINTS)).json() == {"endpoints": [read]}

    changed = (await api.client.patch(path, json={"eventTypes": ["job.*"], "enabled": False})).json()
    assert (changed["eventTypes"], changed["enabled"], changed["disabledReason"]) == (["job.*"], False, "request")
    assert (changed["url"], changed["description"]) == ("https://example.com/hooks", "Orders")
    enabled = (await api.client.patch(path, json={"enabled": True})).json()
    assert (enabled["enabled"], enabled["disabledAt"], enabled["disabledReason"]) == (True, None, None)

    assert (await api.client.delete(path)).status_code == 204
    for response in (
        await api.client.get(path),
        await api.client.delete(path),
        await api.client.patch(path, json={}),
        await api.client.post(f"{path}/test"),
        await api.client.post(f"{path}/rotate-secret"),
    ):
        assert response.status_code == 404


async def test_all_problems_of_an_endpoint_are_reported_together(api):
    body = {
        "url": "ftp://ada:x@example.com/#here",
        "eventTypes": ["job.failed", "jobs.failed", "*"],
        "description": "\0",
    }

    response = await api.client.post(ENDPOINTS, json=body)

    assert response.status_code == 422
    assert codes(response) == {
        ("url", "bad_url"),
        ("url", "credentials_in_url"),
        ("eventTypes[1]", "bad_value"),
        ("eventTypes[2]", "bad_value"),
        ("description", "nul_character"),
    }
    assert codes(await api.client.post(ENDPOINTS, json={"url": "https://x.example/", "eventTypes": []})) == {
        ("eventTypes", "empty")
    }


async def test_the_number_of_endpoints_is_limited(api):
    for _ in range(50):
        await created(api, "https://example.com/")

    response = await api.client.post(ENDPOINTS, json={"url": "https://example.com/"})

    assert (response.status_code, response.json()["code"]) == (409, "invalid_state")


async def test_an_endpoint_receives_each_event_of_its_types_once_with_its_number(working):
    async with receiving() as receiver, sending(working.runtime), sending(working.runtime):
        await created(working, receiver.url, "job.*", "execution.*")
        ids = [
            await working.submit(("a", "write", {"text": "x"}), ("b", "noop", {}), metadata={"order": 7})
            for _ in range(3)
        ]
        events = {}
        for execution_id in ids:
            await working.ended(execution_id)
            for event in await working.engine.events(UUID(execution_id)):
                events[execution_id, event.number] = event
        messages = [await receiver.next_message() for _ in events]
        await asyncio.sleep(0.2)  # sleep: no second delivery may follow

    assert receiver.received.empty()
    received = {(message["data"]["executionId"], message["data"]["eventNumber"]): message for message in messages}
    assert received.keys() == events.keys()
    for key, message in received.items():
        event = events[key]
        assert message["type"] == event.type
        assert message["data"]["metadata"] == {"order": 7}
        if event.type == "execution.succeeded":
            TypeAdapter(ExecutionWebhook).validate_python(message)
            continue
        TypeAdapter(EventWebhook).validate_python(message)
        assert message["data"]["event"] == event.data
        assert (message["data"]["job"] or {}).get("jobId") == event.job_id
    (wrote, *_) = [m for m in messages if m["type"] == "job.succeeded" and m["data"]["job"]["jobId"] == "a"]
    assert "sig=" in wrote["data"]["artifacts"][0]["url"]


async def test_without_endpoints_events_write_no_webhooks(working):
    await working.ended(await working.submit(("a", "noop", {})))

    assert await fetch(working, "SELECT FROM outbox") == []


async def test_an_event_whose_transaction_is_rolled_back_writes_no_webhook(api):
    await created(api, "https://example.com/", "execution.queued")
    execution_id = UUID(await api.submit(("a", "noop", {})))
    insertion = """INSERT INTO events (execution_id, number, type, data)
                   VALUES ($1, $2, 'execution.queued', jsonb_build_object('jobs', 1))"""
    with pytest.raises(ZeroDivisionError):
        async with api.runtime.database.transaction() as connection:
            await connection.execute(insertion, execution_id, 98)
            raise ZeroDivisionError
    async with api.runtime.database.transaction() as connection:
        await connection.execute(insertion, execution_id, 99)

    rows = await fetch(api, "SELECT event_number FROM outbox ORDER BY number")
    assert [row["event_number"] for row in rows] == [1, 99]


async def test_a_rotated_secret_and_the_previous_one_are_valid_for_a_time(working):
    async with receiving() as receiver, sending(working.runtime):
        endpoint = await created(working, receiver.url)
        path = f"{ENDPOINTS}/{endpoint['id']}"
        rotated = (await working.client.post(f"{path}/rotate-secret")).json()
        await working.client.post(f"{path}/test")
        _, both, body = await receiver.next()
        # The end of the overlap.
        await fetch(working, "UPDATE webhook_endpoints SET previous_secret_until = now()")
        await working.client.post(f"{path}/test")
        _, one, second_body = await receiver.next()
        leaked = (await working.client.post(f"{path}/rotate-secret", json={"overlap": 0})).json()
        await working.client.post(f"{path}/test")
        _, newest, third_body = await receiver.next()

    assert rotated["secret"] != endpoint["secret"]
    for known in (endpoint["secret"], rotated["secret"]):
        assert Webhook(known).verify(body, both)["type"] == "webhook.test"
    assert Webhook(rotated["secret"]).verify(second_body, one)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(second_body, one)
    assert Webhook(leaked["secret"]).verify(third_body, newest)
    with pytest.raises(WebhookVerificationError):
        Webhook(rotated["secret"]).verify(third_body, newest)


async def test_the_database_and_the_log_contain_no_secret(working, capsys):
    async with receiving() as receiver, sending(working.runtime):
        endpoint = await created(working, receiver.url)
        await working.client.post(f"{ENDPOINTS}/{endpoint['id']}/test")
        await receiver.next()
        await delivery_with(working, "delivered")
    (row,) = await fetch(working, "SELECT row_to_json(w)::text AS text FROM webhook_endpoints w")
    secret = endpoint["secret"].removeprefix("whsec_")

    assert secret not in row["text"]
    output = capsys.readouterr()
    assert secret not in output.out + output.err


async def test_every_attempt_is_stored_and_a_delivery_can_be_sent_again(working):
    async with receiving("500 a", "503 b", "500 c") as receiver, sending(working.runtime):
        endpoint = await created(working, receiver.url)
        execution_id = await working.submit(("a", "noop", {}))
        failed = await delivery_with(working, "failed", attempts=2)
        first = await receiver.next()
        resent = await working.client.post(f"{DELIVERIES}/{failed['id']}/resend")
        delivered = await delivery_with(working, "delivered", attempts=4, endpointId=endpoint["id"])

    assert (failed["executionId"], failed["type"], failed["endpointId"]) == (
        execution_id,
        "execution.succeeded",
        endpoint["id"],
    )
    assert [(a["number"], a["status"], a["response"]) for a in failed["attemptLog"]] == [
        (1, 500, "500 a"),
        (2, 503, "503 b"),
    ]
    assert (resent.status_code, resent.json()["status"]) == (202, "pending")
    assert [a["status"] for a in delivered["attemptLog"]] == [500, 503, 500, 204], "all attempts again"
    last = [await receiver.next() for _ in range(3)][-1]
    assert (last[1]["webhook-id"], last[2]) == (first[1]["webhook-id"], first[2])


async def test_all_that_failed_since_a_time_is_sent_again(working):
    async with receiving(*["500 x"] * 6) as receiver, sending(working.runtime):
        endpoint = await created(working, receiver.url)
        for _ in range(3):
            await working.submit(("a", "noop", {}))
        await rows_of(working, 3, "SELECT FROM outbox WHERE failed_at IS NOT NULL")
        await fetch(working, "UPDATE outbox SET failed_at = now() - interval '2 days' WHERE number = 1")
        since = {"since": "2000-01-01T00:00:00Z"}
        none = await working.client.post(f"{DELIVERIES}/resend", json=since | {"endpointId": str(uuid4())})
        (row,) = await fetch(working, "SELECT now() - interval '1 day' AS yesterday")
        recent = await working.client.post(f"{DELIVERIES}/resend", json={"since": row["yesterday"].isoformat()})
        all_others = await working.client.post(f"{DELIVERIES}/resend", json=since | {"endpointId": endpoint["id"]})
        await rows_of(working, 3, "SELECT FROM outbox WHERE delivered_at IS NOT NULL")

    assert [response.json() for response in (none, recent, all_others)] == [
        {"resent": 0},
        {"resent": 2},
        {"resent": 1},
    ]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_times_beyond_the_range_of_the_database_are_accepted(api, since):
    response = await api.client.post(f"{DELIVERIES}/resend", json={"since": since})

    assert (response.status_code, response.json()) == (202, {"resent": 0})


async def test_a_cursor_of_another_list_is_harmless(api):
    for _ in range(2):
        await api.submit(("a", "noop", {}))
    page = (await api.client.get("/api/executions", params={"limit": 1})).json()

    response = await api.client.get(DELIVERIES, params={"cursor": page["nextCursor"]})

    assert response.json() == {"deliveries": [], "nextCursor": None}


async def test_deliveries_are_listed_in_pages(working):
    await created(working, "https://example.com/", "job.running", "job.succeeded")
    first, second = [await working.submit(("a", "noop", {})) for _ in range(2)]
    for execution_id in (first, second):
        await working.ended(execution_id)

    pages, cursor = [], None
    for _ in range(2):
        page = (
            await working.client.get(DELIVERIES, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        pages += [delivery["id"] for delivery in page["deliveries"]]
        cursor = page["nextCursor"]
    only = (await working.client.get(DELIVERIES, params={"executionId": first})).json()["deliveries"]

    assert cursor is None
    assert len(set(pages)) == 4
    assert {delivery["executionId"] for delivery in only} == {first}
    assert (await working.client.get(f"{DELIVERIES}/{uuid4()}")).status_code == 404


async def test_an_endpoint_that_is_gone_is_disabled_with_an_alert_and_can_be_enabled_again(working):
    async with receiving("410 Gone") as gone, receiving() as operator, sending(working.runtime):
        endpoint = await created(working, gone.url)
        await created(working, operator.url, "alert.*")
        await working.submit(("a", "noop", {}))
        alert = await operator.next_message()
        path = f"{ENDPOINTS}/{endpoint['id']}"
        disabled = (await working.client.get(path)).json()
        await working.ended(await working.submit(("a", "noop", {})))
        test = await working.client.post(f"{path}/test")
        failed = await delivery_with(working, "failed", endpointId=endpoint["id"])
        refused = await working.client.post(f"{DELIVERIES}/{failed['id']}/resend")
        await working.client.patch(path, json={"enabled": True})
        await working.client.post(f"{DELIVERIES}/resend", json={"since": "2000-01-01T00:00:00Z"})
        await delivery_with(working, "delivered", endpointId=endpoint["id"])

    assert (alert["type"], alert["data"]["endpointId"]) == ("alert.endpoint_disabled", endpoint["id"])
    assert endpoint["id"] in alert["text"]
    assert (disabled["enabled"], disabled["disabledReason"]) == (False, "gone")
    assert [response.status_code for response in (test, refused)] == [409, 409]
    assert len(await fetch(working, "SELECT FROM outbox WHERE endpoint_id = $1", UUID(endpoint["id"]))) == 1


async def test_an_endpoint_is_disabled_after_days_without_a_delivery(working):
    async with receiving("500 a", "204 ok", default="500 b") as receiver, sending(working.runtime):
        endpoint = await created(working, receiver.url)
        await working.submit(("a", "noop", {}))
        await delivery_with(working, "delivered", attempts=2)
        (row,) = await fetch(working, "SELECT failing_since FROM webhook_endpoints")
        await working.submit(("a", "noop", {}))
        await delivery_with(working, "failed", attempts=2)
        failing = (await working.client.get(f"{ENDPOINTS}/{endpoint['id']}")).json()
        await fetch(working, "UPDATE webhook_endpoints SET failing_since = now() - interval '73 hours'")
        await working.submit(("a", "noop", {}))
        await rows_of(working, 1, "SELECT FROM webhook_endpoints WHERE disabled_at IS NOT NULL")
        disabled = (await working.client.get(f"{ENDPOINTS}/{endpoint['id']}")).json()

    assert row["failing_since"] is None, "a delivery ends the failure"
    assert (failing["enabled"], failing["failingSince"] is not None) == (True, True)
    assert disabled["disabledReason"] == "failing"


async def test_webhooks_that_wait_go_to_the_new_url_and_those_of_a_deleted_endpoint_nowhere(working):
    async with receiving() as old, receiving() as new:
        moved, deleted = await created(working, old.url), await created(working, old.url)
        await working.ended(await working.submit(("a", "noop", {})))
        await working.client.patch(f"{ENDPOINTS}/{moved['id']}", json={"url": new.url})
        await working.client.delete(f"{ENDPOINTS}/{deleted['id']}")
        async with sending(working.runtime):
            await new.next()
            await delivery_with(working, "delivered")

    assert old.received.empty()
    assert len(await fetch(working, "SELECT FROM outbox")) == 1
