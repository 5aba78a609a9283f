"""Alerts after several failures in a row on a queue."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from callsheet.notify import retry_schedule, webhooks
from callsheet.notify.alerts import alert_failure_streaks
from callsheet.settings import Settings

from .receiver import receiving, sending


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    monkeypatch.setattr(retry_schedule, "_DELAYS", (0.05, 0.05))
    monkeypatch.setattr(webhooks, "_POLL_INTERVAL", 0.05)


@pytest.fixture
def settings(settings):
    # The URL is on a private address, which the settings do not allow to clients.
    changes = {"alert_webhook_url": "http://127.0.0.1:9/alert", "webhook_timeout": timedelta(seconds=10)}
    return Settings(_env_file=None, **(settings.model_dump(exclude_unset=True) | changes))


async def run(api, *operations):
    """Run one execution for each operation, one after the other."""
    for operation in operations:
        await api.ended(await api.submit(("a", operation, {})))


async def alerts(api):
    """Search for failing queues; return the alerts that are written, oldest first."""
    await alert_failure_streaks(api.runtime.database, api.runtime.settings)
    async with api.runtime.database.connection() as connection:
        rows = await connection.fetch("SELECT data -> 'data' ->> 'failures' AS failures FROM outbox ORDER BY number")
    return [int(row["failures"]) for row in rows]


async def test_one_alert_is_written_for_a_streak_whatever_its_length(working):
    await run(working, "fail", "fail")
    assert await alerts(working) == []
    await run(working, "fail")
    assert await alerts(working) == [3]
    await run(working, "fail", "fail", "fail", "fail")
    assert await alerts(working) == [3]
    await run(working, "noop", "fail", "fail", "fail")
    assert await alerts(working) == [3, 3]


async def test_a_success_ends_a_streak(working):
    await run(working, "fail", "fail", "noop", "fail", "fail", "noop")

    assert await alerts(working) == []


async def test_a_streak_that_ended_before_the_search_is_alerted(working):
    await run(working, "fail", "fail", "fail", "noop", "fail")

    assert await alerts(working) == [3]


async def test_jobs_that_fail_together_are_counted_in_one_streak(working):
    await working.engine.start_worker()
    await asyncio.gather(*(run(working, "fail") for _ in range(12)))

    assert await alerts(working) in ([12], [3]), "one alert: its count is that of the search"


async def test_many_searches_at_once_write_one_alert(working):
    await run(working, "fail", "fail", "fail")

    await asyncio.gather(*(alerts(working) for _ in range(8)))

    assert await alerts(working) == [3]


async def test_cancelled_jobs_neither_count_nor_end_a_streak(working):
    await run(working, "fail", "fail")
    execution_id = await working.submit(("a", "sleep", {"seconds": 60}))
    await working.event(execution_id, "job.running")
    await working.engine.cancel(UUID(execution_id))
    await working.ended(execution_id)
    assert await alerts(working) == []

    await run(working, "fail")
    assert await alerts(working) == [3]


async def test_a_failed_run_that_is_retried_does_not_count(working):
    for _ in range(2):
        execution_id = await working.submit(("a", "fail", {"transient": True}))
        await working.ended(execution_id)
    scheduled = [e for e in await working.engine.events(UUID(execution_id)) if e.type == "job.scheduled"]

    assert len(scheduled) >= 1
    assert await alerts(working) == [], "two jobs failed"


async def test_queues_have_streaks_of_their_own(working):
    await run(working, "fail", "fail")
    async with working.runtime.database.connection() as connection:
        await connection.execute("UPDATE failure_streaks SET queue = 'another'")
    await run(working, "fail")

    assert await alerts(working) == []


async def test_the_events_of_one_statement_are_counted_in_their_order(api):
    async with api.runtime.database.connection() as connection:
        for queue in ("red", "blue"):
            ends = [f'{{"queue": "{queue}", "failed": {end}, "at": 1}}' for end in ("true", "true", "false", "true")]
            await connection.execute("SELECT count_failures($1::jsonb)", f"[{','.join(ends)}]")
        rows = await connection.fetch(
            "SELECT queue, failures, ended_at IS NULL AS open FROM failure_streaks ORDER BY id"
        )

    assert [tuple(row) for row in rows] == [("red", 2, False), ("red", 1, True), ("blue", 2, False), ("blue", 1, True)]


async def test_an_alert_is_sent_to_the_url_of_the_settings_and_retried(working):
    async with receiving("500 x") as receiver:
        changes = {"alert_webhook_url": receiver.url, "alert_failure_threshold": 2}
        runtime = working.runtime
        own = Settings(_env_file=None, **(runtime.settings.model_dump(exclude_unset=True) | changes))
        await run(working, "fail", "fail")
        await alert_failure_streaks(runtime.database, own)
        async with sending(replace(runtime, settings=own)):
            messages = [await receiver.next_message() for _ in range(2)]

    assert messages[0] == messages[1]
    assert messages[0]["type"] == "alert.queue_failing"
    assert messages[0]["text"].startswith("2 jobs in a row failed on the queue ")
    assert messages[0]["data"]["failures"] == 2
    assert messages[0]["data"]["jobId"] == "a"


async def test_without_a_receiver_a_streak_waits_for_one(working):
    silent = working.runtime.settings.model_copy(update={"alert_webhook_url": None})
    await run(working, "fail", "fail", "fail")
    assert await alert_failure_streaks(working.runtime.database, silent) == 0

    assert await alerts(working) == [3]


@pytest.mark.parametrize("prefix", ["CALLSHEET_", "WORKER_", ""])
def test_the_settings_are_read_from_the_variables_of_earlier_systems(monkeypatch, prefix):
    monkeypatch.setenv(f"{prefix}ALERT_WEBHOOK_URL", "http://n8n:5678/webhook/x")
    monkeypatch.setenv(f"{prefix}ALERT_FAILURE_THRESHOLD", "5")

    settings = Settings(_env_file=None)

    assert settings.alert_webhook_url.get_secret_value() == "http://n8n:5678/webhook/x"
    assert settings.alert_failure_threshold == 5


def test_an_alert_url_that_cannot_be_used_is_an_invalid_setting():
    with pytest.raises(ValueError, match="must be a URL that starts with https:// or http://"):
        Settings(_env_file=None, alert_webhook_url="n8n/webhook")
