"""Operations, queues, workers, health and metrics."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from callsheet.api import metrics
from callsheet.testing.waiters import until

from .conftest import codes


async def test_operations_are_listed_with_their_schemas(api):
    listed = (await api.client.get("/api/operations")).json()["operations"]
    one = (await api.client.get("/api/operations/sleep")).json()

    assert one in listed
    assert one["paramsSchema"]["required"] == ["seconds"]


async def test_a_paused_queue_starts_no_jobs_until_it_is_resumed(working):
    paused = await working.client.patch("/api/queues/test", json={"paused": True})
    execution_id = await working.submit(("a", "noop", {}))
    queue = (await working.client.get("/api/queues")).json()["queues"][0]
    resumed = await working.client.patch("/api/queues/test", json={"paused": False})

    assert paused.json()["paused"] is True
    assert (queue["name"], queue["queued"], queue["paused"]) == ("test", 1, True)
    assert queue["oldestQueuedAt"] is not None
    assert resumed.json()["paused"] is False
    assert (await working.ended(execution_id))["status"] == "succeeded"


async def test_limits_are_set_kept_and_removed_one_by_one(api):
    async def change(**patch):
        queue = (await api.client.patch("/api/queues/test", json=patch)).json()
        return queue["maxRunning"], queue["rateLimit"], queue["ratePeriod"]

    assert await change(maxRunning=3, rateLimit=30, ratePeriod="1m") == (3, 30, 60)
    assert await change(max_running=4) == (4, 30, 60)
    assert await change(rateLimit=None, ratePeriod=None) == (4, None, None)
    assert await change(maxRunning=None) == (None, None, None)
    assert await change() == (None, None, None)


@pytest.mark.parametrize(
    ("patch", "problem"),
    [
        ({"rateLimit": 3}, ("", "value_error")),
        ({"rateLimit": 3, "ratePeriod": "soon"}, ("ratePeriod", "value_error")),
        ({"rateLimit": 3, "ratePeriod": 0}, ("", "value_error")),
        ({"maxRunning": -1}, ("maxRunning", "greater_than_equal")),
        ({"pausd": True}, ("pausd", "extra_forbidden")),
    ],
)
async def test_an_invalid_limit_is_rejected(api, patch, problem):
    response = await api.client.patch("/api/queues/test", json=patch)

    assert response.status_code == 422
    assert problem in codes(response)


async def test_an_unknown_queue_is_not_created(api):
    response = await api.client.patch("/api/queues/tset", json={"paused": True})

    assert response.status_code == 404
    assert [queue["name"] for queue in (await api.client.get("/api/queues")).json()["queues"]] == ["test"]


async def test_lanes_are_resized_while_the_worker_runs(working):
    worker = (await working.client.get("/api/workers")).json()["workers"][0]

    response = await working.client.patch(f"/api/workers/{worker['id']}", json={"lanes": {"test": 1}})

    assert response.json()["lanes"] == {"test": 1}
    assert (await working.client.get("/api/queues")).json()["queues"][0]["slots"] == 1


async def test_an_unknown_lane_is_rejected(working):
    async def registered():
        return (await working.client.get("/api/workers")).json()["workers"]

    worker = (await until(registered))[0]

    response = await working.client.patch(f"/api/workers/{worker['id']}", json={"lanes": {"gpu": 1}})
    unknown = await working.client.patch(
        "/api/workers/00000000-0000-0000-0000-000000000000", json={"lanes": {"test": 1}}
    )

    assert (response.status_code, codes(response)) == (422, {("lanes.gpu", "unknown_lane")})
    assert unknown.status_code == 404


async def test_without_the_database_the_process_is_alive_but_not_ready(api, monkeypatch):
    async def unavailable(database):
        await asyncio.sleep(60)

    monkeypatch.setattr("callsheet.api.health.check_revision", unavailable)
    monkeypatch.setattr("callsheet.api.health._TIMEOUT", 0.1)

    ready = await api.client.get("/readyz")

    assert (ready.status_code, ready.json()["code"]) == (503, "database_not_ready")
    assert "retry-after" in ready.headers
    for path in ("/health", "/healthz"):
        assert (await api.client.get(path)).json()["status"] == "ok"


async def test_a_server_with_a_database_and_a_storage_is_ready(api):
    assert (await api.client.get("/readyz")).json() == {"status": "ready"}


async def read_metrics(api):
    text = (await api.client.get("/metrics")).text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_count_queued_and_ended_jobs(working, monkeypatch):
    monkeypatch.setattr(metrics, "_CACHE_SECONDS", 0)
    monkeypatch.setattr(metrics, "_COMMIT_DELAY", metrics.timedelta(0))
    before = await read_metrics(working)
    good = await working.submit(("a", "noop", {}), ("b", "sleep", {"seconds": 1.2}))
    bad = await working.submit(("a", "fail", {}))
    await asyncio.gather(working.ended(good), working.ended(bad))
    await working.client.patch("/api/queues/test", json={"paused": True})
    await working.submit(("a", "noop", {}))

    after = await read_metrics(working)

    queue = ("queue", "test")
    assert before["callsheet_database_up",] == 1
    assert ("callsheet_jobs_total", ("operation", "noop"), ("status", "succeeded")) not in before
    assert after["callsheet_jobs_total", ("operation", "noop"), ("status", "succeeded")] == 1
    assert after["callsheet_jobs_total", ("operation", "fail"), ("status", "failed")] == 1
    assert after["callsheet_queue_jobs", queue, ("status", "queued")] == 1
    assert after["callsheet_queue_paused", queue] == 1
    assert after["callsheet_queue_oldest_wait_seconds", queue] > 0
    assert after["callsheet_workers", ("status", "working")] == 1
    assert after["callsheet_build_info", ("version", working.app.version)] == 1
    slept = ("operation", "sleep"), ("status", "succeeded")
    bucket = "callsheet_job_duration_seconds_bucket"
    assert after[bucket, ("le", "1.0"), *slept] == 0
    assert after[bucket, ("le", "+Inf"), *slept] == after["callsheet_job_duration_seconds_count", *slept] == 1
    assert after["callsheet_job_duration_seconds_sum", *slept] > 1.2


async def test_metrics_report_an_unavailable_database(api, monkeypatch):
    async def unavailable(*args):
        raise ConnectionRefusedError

    monkeypatch.setattr(metrics, "list_queues", unavailable)

    assert (await read_metrics(api))["callsheet_database_up",] == 0
