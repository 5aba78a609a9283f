"""Operations, queues, workers and health."""

import asyncio

import pytest

from callsheet.testing.waiters import until

from .commands import command
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


async def test_reset_lanes_are_those_of_the_settings_again_also_for_later_workers_of_the_name(working):
    engine = working.engine
    worker = engine.workers[0]
    url = f"/api/workers/{worker.id}"
    before = (await working.client.get("/api/workers")).json()["workers"][0]
    drained = (await working.client.post(f"{url}/drain")).json()
    later = await engine.start_worker({"test": 3}, name=worker.name)
    await later.registered.wait()

    async def lanes_by_id():
        return {each["id"]: each["lanes"] for each in (await working.client.get("/api/workers")).json()["workers"]}

    assert (drained["lanes"], drained["configuredLanes"]) == ({"test": 0}, before["lanes"])
    assert (await lanes_by_id())[str(later.id)] == {"test": 0}
    reset = await working.client.delete(f"/api/workers/{later.id}/lanes")
    assert reset.json()["lanes"] == {"test": 3}
    output = await command(working, "workers", "reset-lanes", str(worker.id))
    assert f"test={before['lanes']['test']}" in output.stderr
    last = await engine.start_worker({"test": 5}, name=worker.name)
    await last.registered.wait()
    assert (await lanes_by_id())[str(last.id)] == {"test": 5}


async def test_lanes_of_an_unknown_worker_cannot_be_reset(api):
    response = await api.client.delete("/api/workers/019ab1f0-0000-7000-8000-000000000000/lanes")

    assert response.status_code == 404


async def test_the_number_of_workers_that_queues_should_have_is_read_with_its_reasons(working):
    await working.client.patch("/api/queues/test", json={"paused": True})
    for _ in range(5):
        await working.submit(("a", "noop", {}))
    paused = (await working.client.get("/api/queues/scaling")).json()
    await working.client.post(f"/api/workers/{working.engine.workers[0].id}/drain")
    await working.client.patch("/api/queues/test", json={"paused": False})
    query = {"queue": "test", "min": 1, "max": 9, "targetWait": "0s"}
    scaling = (await working.client.get("/api/queues/scaling", params=query)).json()
    output = await command(working, "queues", "scaling", "--queue", "test", "--target-wait", "0s", "--max", "1")

    assert (paused["desiredWorkers"], paused["queues"][0]["neededSlots"]) == (0, 0)
    [queue] = scaling["queues"]
    slots = queue["slotsPerWorker"]
    assert (queue["queue"], queue["queued"], queue["neededSlots"], queue["workers"]) == ("test", 5, 5, 0)
    assert slots == working.runtime.settings.lanes["default"]
    assert scaling["desiredWorkers"] == queue["desiredWorkers"] == 1
    assert output.stdout.splitlines()[1].split()[:3] == ["test", "1", "0"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"queue": "tset"}, ("queue", "invalid_value")),
        ({"min": 3, "max": 2}, ("max", "out_of_range")),
        ({"min": -1}, ("min", "greater_than_equal")),
        ({"targetWait": "soon"}, ("targetWait", "value_error")),
    ],
)
async def test_a_scaling_that_does_not_fit_is_rejected(api, query, problem):
    response = await api.client.get("/api/queues/scaling", params=query)

    assert response.status_code == 422
    assert problem in codes(response)


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
        await asyncio.sleep(60)  # sleep: it hangs until the timeout

    monkeypatch.setattr("callsheet.api.health.check_revision", unavailable)
    monkeypatch.setattr("callsheet.api.health._TIMEOUT", 0.1)

    ready = await api.client.get("/readyz")

    assert (ready.status_code, ready.json()["code"]) == (503, "database_not_ready")
    assert "retry-after" in ready.headers
    for path in ("/health", "/healthz"):
        assert (await api.client.get(path)).json()["status"] == "ok"


async def test_a_server_with_a_database_and_a_storage_is_ready(api):
    assert (await api.client.get("/readyz")).json() == {"status": "ready"}


async def test_a_server_whose_worker_does_not_stay_up_says_why_it_is_not_ready(api):
    api.app.state.worker_trouble = lambda: "The worker process died 3 times in a row; the last time: exit status 7."

    ready = await api.client.get("/readyz")

    assert (ready.status_code, ready.json()["code"]) == (503, "worker_not_ready")
    assert "exit status 7" in ready.json()["detail"]
    assert (await api.client.get("/health")).status_code == 200


async def test_a_drained_worker_ends_its_running_jobs_and_claims_no_more(working, tmp_path):
    worker = (await working.client.get("/api/workers")).json()["workers"][0]
    running = await working.submit(("film", "block", {"until": str(tmp_path / "end")}))
    await working.event(running, "job.running")

    drained = await working.client.post(f"/api/workers/{worker['id']}/drain")
    waiting = await working.submit(("film", "noop", {}))
    (tmp_path / "end").touch()

    assert (drained.status_code, drained.json()["lanes"], drained.json()["running"]) == (200, {"test": 0}, 1)
    assert (await working.ended(running))["status"] == "succeeded"
    job = (await working.client.get(f"/api/executions/{waiting}")).json()["jobs"][0]
    assert (job["status"], job["waitReason"]["code"]) == ("queued", "no_lane")


async def test_a_stopped_worker_lets_its_job_end_and_then_its_process(working, tmp_path):
    worker = working.engine.workers[0]
    running = await working.submit(("film", "sleep", {"seconds": 0.5}))
    await working.event(running, "job.running")

    stopped = await working.client.post(f"/api/workers/{worker.id}/stop")
    async with asyncio.timeout(15):
        await working.engine._tasks[worker.id]  # its run ends without an error

    assert stopped.status_code == 202
    assert (await working.ended(running))["status"] == "succeeded"
    assert (await working.client.get("/api/workers")).json()["workers"] == []
    assert (await working.client.post(f"/api/workers/{worker.id}/stop")).status_code == 404


@pytest.mark.parametrize(("change", "says"), [("pid = 0", "polled worker"), ("only_reserved = true", "one execution")])
async def test_workers_that_are_no_processes_of_their_own_are_not_stopped(working, change, says):
    worker = (await working.client.get("/api/workers")).json()["workers"][0]
    async with working.runtime.database.connection() as connection:
        await connection.execute(f"UPDATE workers SET {change}")

    response = await working.client.post(f"/api/workers/{worker['id']}/stop")

    assert response.status_code == 409 and says in response.json()["detail"]


async def test_the_commands_drain_and_stop_a_worker_by_its_name(working):
    worker = working.engine.workers[0]

    drained = await command(working, "workers", "drain", worker.name)
    stopped = await command(working, "workers", "stop", worker.name)

    assert "claims no more jobs; 0 still run" in drained.stderr and "is stopping" in stopped.stderr
    async with asyncio.timeout(15):
        await working.engine._tasks[worker.id]
