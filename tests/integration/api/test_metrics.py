"""Metrics: stored totals, the state of the installation, and the names of replaced systems."""

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr, ValidationError

from callsheet.api import metrics
from callsheet.api.monitor import monitor_app
from callsheet.api.replaced_metric_names import REPLACED_NAMES
from callsheet.db.statements import sql
from callsheet.engine.metric_totals import count_new_events, read_totals, store_changes
from callsheet.engine.queue_minutes import add_queue_minutes, percentile, read_queue_rates
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.metrics import catalog as names
from callsheet.metrics import changes as changes_module
from callsheet.metrics.changes import Change, count, observe, take_changes
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.settings import Settings
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

from .conftest import messages_of, served

SOON = timedelta(seconds=0.02)


@pytest.fixture(autouse=True)
def fresh_scrapes(monkeypatch):
    monkeypatch.setattr(metrics, "_CACHE_SECONDS", 0)


async def read_metrics(api):
    text = (await api.client.get("/metrics")).text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def metrics_with(api, *key, value):
    """Return the metrics once one of them has a value: events are counted about a second after they happen."""
    found = {}

    async def has_value():
        nonlocal found
        found = await read_metrics(api)
        return found.get(key) == value

    await until(has_value)
    return found


def labels(**values):
    return sorted(values.items())


async def test_metrics_count_queued_and_ended_jobs(working):
    before = await read_metrics(working)
    good = await working.submit(("a", "noop", {}), ("b", "sleep", {"seconds": 1.2}))
    bad = await working.submit(("a", "fail", {}))
    await asyncio.gather(working.ended(good), working.ended(bad))
    await working.client.patch("/api/queues/test", json={"paused": True})
    await working.submit(("a", "noop", {}))

    noops = "callsheet_jobs_total", *labels(operation="noop", queue="test", status="succeeded")
    after = await metrics_with(working, "callsheet_executions_total", ("status", "submitted"), value=3)

    queue = ("queue", "test")
    assert before["callsheet_database_up",] == 1
    assert noops not in before
    assert after[noops] == 1
    assert after["callsheet_jobs_total", *labels(operation="fail", queue="test", status="failed")] == 1
    assert after["callsheet_queue_jobs", queue, ("status", "queued")] == 1
    assert after["callsheet_queue_paused", queue] == 1
    assert after["callsheet_queue_desired_workers", queue] == 0
    assert after["callsheet_queue_oldest_wait_seconds", queue] > 0
    assert after["callsheet_workers", ("status", "working")] == 1
    assert after["callsheet_build_info", ("version", working.app.version)] == 1
    slept = labels(operation="sleep", queue="test", status="succeeded")
    bucket = "callsheet_job_duration_seconds_bucket"
    assert after[bucket, ("le", "1.0"), *slept] == 0
    assert after[bucket, ("le", "2.5"), *slept] == 1
    assert after[bucket, ("le", "+Inf"), *slept] == after["callsheet_job_duration_seconds_count", *slept] == 1
    assert after["callsheet_job_duration_seconds_sum", *slept] > 1.2
    assert after["callsheet_job_wait_seconds_count", queue] == 3
    assert after["callsheet_executions_total", ("status", "succeeded")] == 1
    assert after["callsheet_execution_duration_seconds_count", ("status", "failed")] == 1
    assert after["callsheet_executions_open", ("status", "queued")] == 1
    assert sum(value for key, value in after.items() if key[0] == "callsheet_worker_slots") > 0

    queues = (await working.client.get("/api/queues")).json()["queues"]
    shown = next(each for each in queues if each["name"] == "test")
    # Three jobs, in five minutes and a part of the one that has begun.
    assert 3 / 6 <= shown["startedPerMinute"] <= 3 / 5
    assert shown["endedPerMinute"] == pytest.approx(shown["startedPerMinute"], abs=0.002)
    assert 0 < shown["durationP50"] <= 1 < shown["durationP95"] <= 2.5
    assert "per minute<br><small>median up to" in (await working.client.get("/console/queues")).text


async def test_minutes_of_queues_are_added_up_and_kept_for_an_hour(database):
    now = datetime(2026, 11, 23, 9, 30, 20, tzinfo=UTC)
    ran = {"queue": "render", "kind": "job.succeeded", "events": 4, "bucket": 7}
    started = {"queue": "render", "kind": "job.running", "events": 12, "bucket": 1}
    async with database.connection() as connection:
        await add_queue_minutes(connection, [started, ran], now - timedelta(minutes=59))
        await add_queue_minutes(connection, [started, ran, {**ran, "queue": None}], now - timedelta(minutes=2))
        await add_queue_minutes(connection, [started, {**ran, "bucket": None}], now - timedelta(minutes=2))
        rates = await read_queue_rates(connection, now)
        await add_queue_minutes(connection, [], now + timedelta(minutes=57))
        kept = await connection.fetchval("SELECT count(*) FROM queue_minutes")

    assert rates.keys() == {"render"}
    assert rates["render"].started_per_minute == pytest.approx(24 / (5 + 1 / 3))
    assert rates["render"].ended_per_minute == pytest.approx(8 / (5 + 1 / 3))
    # Eight runs of half a second to one second.
    assert (rates["render"].p50, rates["render"].p95) == (0.75, pytest.approx(0.975))
    assert kept == 1


def test_percentiles_are_estimated_inside_of_their_bucket():
    counts = [0] * (len(names.SECONDS) + 1)
    assert percentile(counts, 0.5) is None
    counts[0], counts[-1] = 1, 1
    assert (percentile(counts, 0.5), percentile(counts, 0.95)) == (0.005, 14400)


async def test_metrics_report_an_unavailable_database(api, monkeypatch):
    async def unavailable(*args):
        raise ConnectionRefusedError

    monkeypatch.setattr(metrics, "list_queues", unavailable)
    found = await read_metrics(api)

    assert found["callsheet_database_up",] == 0
    assert not [key for key in found if key[0] in names.INSTALLATION], "of a database that is away"


async def test_every_server_shows_the_same_totals_also_after_a_restart(settings, catalog):
    settings = settings.model_copy(update={"port": 0})
    async with served(settings, catalog) as first:
        await first.engine.start_worker()
        await first.ended(await first.submit(("a", "noop", {}), ("b", "fail", {})))
        async with served(settings, catalog) as second:
            key = "callsheet_executions_total", ("status", "failed")
            one, other = await metrics_with(first, *key, value=1), await metrics_with(second, *key, value=1)
            assert totals_of(one) == totals_of(other)
    async with served(settings, catalog) as third:
        again = await read_metrics(third)

    counted = {key: value for key, value in totals_of(one).items() if not key[0].startswith("callsheet_http")}
    assert {key: again[key] for key in counted} == counted
    route = "callsheet_http_requests_total", ("route", "submit_plan"), ("status", "2xx")
    assert again[route] == 1, "what a process has counted is stored when it ends"


def totals_of(found):
    """Return what was counted; CLAIMS may go on meanwhile."""
    kinds = ("counter", "histogram")
    counted = tuple(name for name, metric in names.INSTALLATION.items() if metric.kind in kinds)
    return {
        key: value
        for key, value in found.items()
        if key[0].startswith(counted) and not key[0].startswith(("callsheet_http", "callsheet_claims"))
    }


async def test_retries_and_rescues_are_counted(working):
    execution_id = await working.submit(("a", "fail", {"times": 2, "transient": True}))
    await working.ended(execution_id)
    worker = working.engine.workers[0]
    lost = await working.submit(("a", "sleep", {"seconds": 600}))
    await working.event(lost, "job.running")
    async with working.runtime.database.connection() as connection:
        await sql.mark_worker_lost(connection, id=worker.id)
    await working.event(lost, "job.queued")
    await working.client.post(f"/api/executions/{lost}/cancel")

    key = "callsheet_job_rescues_total", *labels(operation="sleep", queue="test")
    found = await metrics_with(working, *key, value=1)

    assert found["callsheet_job_retries_total", *labels(operation="fail", queue="test")] == 2


async def test_an_event_is_counted_once_however_many_processes_count(database):
    """Also one whose transaction was open during a count, and committed after younger ones."""
    insert = (
        "INSERT INTO events (execution_id, number, type, data) "
        "VALUES (gen_random_uuid(), 1, 'execution.queued', '{\"jobs\": 1}')"
    )

    async def submitted():
        await asyncio.gather(*(count_new_events(database) for _ in range(4)))
        async with database.connection() as connection:
            return (await read_totals(connection)).of(names.EXECUTIONS).get(("submitted",), 0)

    async with database.transaction() as slow:
        await slow.execute(insert)
        for _ in range(5):
            async with database.connection() as connection:
                await connection.execute(insert)
        await asyncio.sleep(1.2)  # sleep: events are counted a second after they happened
        assert await submitted() == 0, "an older transaction is open"
    await until(lambda: _equals(submitted, 6))
    await asyncio.sleep(1.2)  # sleep: a second count of the same events would happen by then
    assert await submitted() == 6


async def _equals(read, value):
    return await read() == value


async def test_a_restarted_count_goes_on_after_days_in_which_no_process_counted(database):
    async with database.connection() as connection:
        await connection.execute("UPDATE metric_cursor SET counted_until = now() - interval '3 days'")
        await connection.execute(
            "INSERT INTO events (execution_id, number, type, data, at) "
            "SELECT gen_random_uuid(), 1, 'execution.queued', '{\"jobs\": 1}', now() - make_interval(hours => h) "
            "FROM generate_series(1, 60) h"
        )
    await count_new_events(database)
    async with database.connection() as connection:
        totals = await read_totals(connection)
        behind = await connection.fetchval("SELECT now() - counted_until FROM metric_cursor")

    assert totals.of(names.EXECUTIONS) == {("submitted",): 60}
    assert behind < timedelta(seconds=10)


async def test_a_bucket_of_another_version_is_added_to_the_next_larger_one(database):
    take_changes()
    observe(names.JOB_WAIT, 0.3, "render")
    other = [Change("callsheet_job_wait_seconds", ("render",), 0.4, 2.0)]
    await store_changes(database, [*take_changes(), *other])
    async with database.connection() as connection:
        durations = (await read_totals(connection)).durations_of(names.JOB_WAIT)["render",]

    assert durations.counts[names.SECONDS.index(0.5)] == 3
    assert durations.seconds == 0.3


async def test_labels_of_one_metric_cannot_grow_without_limit(monkeypatch):
    monkeypatch.setattr(changes_module, "_changes", changes_module._Changes())
    for number in range(3000):
        count(names.SUBMISSIONS, "replicate", f"model {number}", "accepted")
    changes = take_changes()

    assert len(changes) <= 1001
    assert sum(change.value for change in changes) == 3000
    assert all(math.isinf(change.bound) for change in changes)


def test_a_count_with_other_labels_than_the_catalog_is_an_error():
    with pytest.raises(ValueError, match="callsheet_job_wait_seconds has the labels queue"):
        observe(names.JOB_WAIT, 1.0)


async def test_requests_to_providers_tasks_and_spend_are_counted(settings, tmp_path):
    (tmp_path / "prices.yaml").write_text(
        "replicate: {bytedance/seedance-1-pro: {by: resolution, amounts: {1080p: 0.15}, per: second, "
        'date: "2026-11-22", source: invoice}}'
    )
    changes = {
        "prices_file": tmp_path / "prices.yaml",
        "provider_poll_initial": SOON,
        "provider_poll_max": SOON,
        "provider_poll_interval": SOON,
    }
    take_changes()
    async with FakeReplicate() as provider:
        own = [provider.provider_settings()]
        changed = settings.model_copy(update=changes)
        async with served(changed, Catalog([generate, *ALL]), provider_settings=own) as api:
            await api.engine.start_worker()
            model = "bytedance/seedance-1-pro"
            execution_id = await api.submit(
                ("film", "generate", {"modelId": model, "prompt": "fox", "provider": "replicate"})
            )
            await api.event(execution_id, "execution.succeeded")
            of = {"model": model, "provider": "replicate"}
            accepted = "callsheet_provider_submissions_total", *labels(outcome="accepted", **of)
            found = await metrics_with(api, *accepted, value=1)

    at = labels(kind="submit", provider="replicate")
    assert found["callsheet_provider_requests_total", *labels(kind="submit", provider="replicate", status="2xx")] == 1
    assert found["callsheet_provider_requests_total", *labels(kind="other", provider="replicate", status="2xx")] >= 1
    assert found["callsheet_provider_request_duration_seconds_count", *at] == 1
    assert found["callsheet_provider_tasks_total", *labels(status="succeeded", **of)] == 1
    assert found["callsheet_provider_cost_dollars_total", *labels(source="price", **of)] == 0.75


async def test_a_cost_is_added_to_the_spend_once(api):
    execution_id = await api.submit(("a", "noop", {}))
    async with api.runtime.database.connection() as connection:
        job = await connection.fetchval("UPDATE execution_jobs SET status = 'running', epoch = 1 RETURNING id")
        submission = await connection.fetchval(
            "INSERT INTO submissions (id, job, step, epoch, provider, model, request_digest, price) "
            "VALUES (gen_random_uuid(), $1, 'a', 1, 'luma', 'ray', '', 2.0) RETURNING id",
            job,
        )
        for cost in (None, None, 2.5):
            await sql.end_submission(
                connection, id=submission, epoch=1, ended="succeeded", status="done", cost=cost, seconds=None
            )
        totals = await read_totals(connection)

    assert execution_id
    assert totals.of(names.TASKS) == {("luma", "ray", "succeeded"): 1}
    assert totals.of(names.SPEND) == {("luma", "ray", "price"): 2.0, ("luma", "ray", "provider"): 0.5}


async def test_every_metric_of_the_catalog_is_shown(api):
    text = (await api.client.get("/metrics")).text
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}

    assert {*names.INSTALLATION, *names.PROCESS} <= shown
    assert {name for name in shown if name.startswith("callsheet_")} == {*names.INSTALLATION, *names.PROCESS}


async def test_event_streams_are_counted_while_they_are_open(working):
    execution_id = await working.submit(("a", "sleep", {"seconds": 60}))
    async with working.client.stream("GET", f"/api/executions/{execution_id}/events") as stream:
        messages = messages_of(stream)
        await anext(messages)
        during = await read_metrics(working)
    await working.client.post(f"/api/executions/{execution_id}/cancel")

    assert during["callsheet_event_watchers",] >= 1
    assert during["callsheet_event_watched_executions",] >= 1
    assert during["callsheet_database_connections_max",] == working.runtime.settings.database_pool_size


# Names of the systems that Callsheet replaces


async def test_metrics_are_also_shown_under_the_names_of_replaced_systems(working):
    await working.ended(await working.submit(("a", "noop", {}), ("b", "fail", {})))
    await working.submit(("a", "sleep", {"seconds": 60}))
    take = "worker_jobs_total", ("type", "fail")
    found = await metrics_with(working, *take, value=1)

    queue = ("queue", "test")
    assert found["influencerai_worker_queue_jobs_waiting", queue] == 0
    assert found["influencerai_worker_queue_jobs_failed", queue] == 1
    assert found["influencerai_worker_job_duration_seconds_count", queue, ("type", "noop")] == 1
    assert found["worker_job_duration_seconds_count", queue, ("type", "fail")] == 1
    assert found["worker_queue_jobs", queue, ("status", "active")] == 1
    assert found["worker_queue_jobs", queue, ("status", "completed")] == 1
    assert found["worker_queue_jobs", queue, ("status", "failed")] == 1
    assert found["worker_jobs_total", ("type", "noop")] == 1
    assert found["worker_active_tasks",] == 1
    assert "worker_loop_iterations_total" in {key[0] for key in found}
    collectors = {"process_resident_memory_bytes", "python_info", "python_gc_collections_total"}
    assert collectors <= {key[0] for key in found}


@pytest.mark.parametrize(("prefix", "expected"), [("", "queue_jobs_waiting"), ("my:app_", "my:app_queue_jobs_waiting")])
async def test_the_prefix_can_be_chosen(served_with, prefix, expected):
    async with served_with(metrics_prefix=prefix) as api:
        assert expected in {key[0] for key in await read_metrics(api)}


async def test_a_prefix_that_makes_two_names_equal_shows_them_once(served_with):
    async with served_with(metrics_prefix="worker_") as api:
        text = (await api.client.get("/metrics")).text

    helps = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
    assert len(helps) == len(set(helps))


async def test_one_setting_turns_these_names_off(served_with):
    async with served_with(metrics_replaced_names=False) as api:
        shown = {key[0] for key in await read_metrics(api)}

    own = {name.replace("{prefix}", "influencerai_worker_") for name in REPLACED_NAMES}
    assert not shown & own
    assert "callsheet_queue_jobs" in shown


@pytest.mark.parametrize("prefix", ["callsheet_", "9lives_", "a b", "a-b_"])
def test_a_prefix_that_is_no_name_is_refused(prefix):
    with pytest.raises(ValidationError, match="a prefix of letters"):
        Settings(metrics_prefix=prefix)


@pytest.mark.parametrize(
    ("variable", "setting", "value"),
    [
        ("WORKER_METRICS_PREFIX", "metrics_prefix", "film_"),
        ("WORKER_MONITOR_PORT", "monitor_port", 3055),
        ("BULL_BOARD_PORT", "monitor_port", 3056),
        ("WORKER_MONITOR_HOST", "monitor_host", "0.0.0.0"),
        ("BULL_BOARD_HOST", "monitor_host", "0.0.0.0"),
    ],
)
def test_the_variables_of_replaced_systems_are_read(monkeypatch, variable, setting, value):
    monkeypatch.setenv(variable, str(value))
    assert getattr(Settings(), setting) == value


# The monitoring server of workers


def client_of(runtime, **settings):
    changed = replace(runtime, settings=runtime.settings.model_copy(update=settings))
    transport = httpx2.ASGITransport(app=monitor_app(changed))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3031", trust_env=False)


LOGIN = {"console_user": "anna", "console_password": SecretStr("fox in the box")}


async def test_the_monitor_of_this_machine_shows_metrics_without_a_key(api):
    async with client_of(api.runtime) as client:
        health, alias = await client.get("/health"), await client.get("/healthz")
        shown, board = await client.get("/metrics"), await client.get("/bull-board")
        foreign = await client.get("/metrics", headers={"Host": "evil.example"})

    assert health.json()["status"] == alias.json()["status"] == "ok"
    assert "callsheet_queue_jobs{" in shown.text
    assert (board.status_code, foreign.status_code) == (404, 403)
    assert "CALLSHEET_CONSOLE_USER" in board.text


async def test_the_monitor_needs_a_login_where_other_machines_reach_it(api):
    async with client_of(api.runtime, monitor_host="0.0.0.0", **LOGIN) as client:
        assert (await client.get("/health")).status_code == 200
        refused = [await client.get(path) for path in ("/metrics", "/bull-board")]
        wrong = await client.get("/metrics", auth=("anna", "cat in the hat"))
        odd = await client.get("/metrics", headers={"Authorization": "Basic ä".encode()})
        let_in = [await client.get(path, auth=("anna", "fox in the box")) for path in ("/metrics", "/bull-board")]
        start = await client.get("/")

    assert [each.status_code for each in (*refused, wrong, odd)] == [401] * 4
    assert all(each.headers["WWW-Authenticate"].startswith("Basic ") for each in refused)
    assert [each.status_code for each in let_in] == [200, 200]
    assert ">test<" in let_in[1].text
    assert start.headers["Location"] == "/bull-board"


async def test_the_monitor_takes_keys_that_may_read_and_can_be_opened_for_metrics(api):
    key = SecretStr("0123456789abcdef-key")
    bearer = {"Authorization": f"Bearer {key.get_secret_value()}"}
    async with client_of(api.runtime, monitor_host="0.0.0.0", api_key=key) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers=bearer)).status_code == 200
        assert (await client.get("/metrics", headers={"Authorization": "Bearer x"})).status_code == 401
    async with client_of(api.runtime, monitor_host="0.0.0.0", metrics_open=True) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/bull-board")).status_code == 401


async def test_the_monitor_limits_failed_logins(api):
    async with client_of(api.runtime, monitor_host="0.0.0.0", **LOGIN) as client:
        statuses = [(await client.get("/metrics", auth=("anna", f"guess {n}"))).status_code for n in range(12)]

    assert statuses[:10] == [401] * 10
    assert statuses[11] == 429
