"""The resource watch on a real database: measured by workers, thinned by servers, published to a real Redis."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from redis import Redis
from structlog.testing import capture_logs
from tests.support.redis_server import RedisServer

from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.ids import new_id
from callsheet.domain.resources import CpuUse, DiskUse, MemoryUse, Resources
from callsheet.engine.reads.resources import current_resources, resource_history, warnings_of
from callsheet.engine.reads.workers import list_workers
from callsheet.engine.retention.resources import thin_resources
from callsheet.engine.schedules.resource_watch import watch_resources
from callsheet.engine.worker.resource_watch import ResourceWatch
from callsheet.notify.resource_channel import resource_channel
from callsheet.testing.waiters import until

NOW = datetime(2026, 11, 29, 12, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def measured(at, memory=50.0, cpu=10.0):
    return Resources(
        at=at,
        host="studio",
        cpu=CpuUse(percent=cpu, count=4, load=0.5),
        memory=MemoryUse(percent=memory, total=1000, available=1000 - round(memory * 10), worker=100),
        disks=[DiskUse(folders=["data", "scratch"], percent=20, total=100, free=80)],
        gpus=[],
    )


class ScriptedSampler:
    """Returns these measurements, or raises these errors, one after the other."""

    def __init__(self, *script):
        self._script = list(script)

    async def measure(self):
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


async def store(database, worker_id, *measurements, name="studio-1", seconds=60):
    for each in measurements:
        levels = {resource: [percent, percent] for resource, percent in each.levels().items()}
        async with database.connection() as connection:
            await sql.record_resources(
                connection,
                worker_id=worker_id,
                worker_name=name,
                at=each.at,
                seconds=seconds,
                levels=json.dumps(levels),
                sample=each.model_dump_json(),
            )


async def stored(database):
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM resource_samples ORDER BY at")
    return [(row["at"], row["seconds"], json.loads(row["levels"])["cpu"]) for row in rows]


async def test_a_worker_measures_its_machine_when_it_starts(engine):
    database, [worker] = engine.runtime.database, engine.workers

    [(name, resources)] = await until(lambda: current_resources(database), timeout=60)
    [record] = await list_workers(database)
    [point] = await resource_history(database, str(worker.id))

    assert name == worker.name and resources.memory.worker > 0
    assert record.resources == resources
    assert (point.at, point.seconds, point.worker_id) == (resources.at, 60, worker.id)
    assert point.average == point.highest == resources.levels()
    assert await resource_history(database, worker.name) == [point]


async def test_the_worker_of_one_execution_does_not_measure(idle_engine, monkeypatch):
    watched = asyncio.Event()
    worker = idle_engine.runtime.worker(only_reserved=True)
    monkeypatch.setattr(ResourceWatch, "record", lambda _: watched.set())

    await worker._watch_resources()

    assert not watched.is_set()


async def test_warnings_are_logged_once_when_they_begin_and_once_when_they_end(database, settings):
    limits = {"resource_warn_after": 2, "resource_warn_memory": 90.0, "resource_warn_margin": 5.0}
    levels = [95, 96, 92, 88, 93, 80, 80]
    script = [measured(NOW + number * MINUTE, memory=level) for number, level in enumerate(levels)]
    watch = ResourceWatch(
        database, settings.model_copy(update=limits), new_id(), "studio-1", sampler=ScriptedSampler(*script)
    )

    with capture_logs() as logs:
        for _ in levels:
            await watch.record()

    seen = [(line["log_level"], line["event"], line["resource"]) for line in logs if "resource" in line]
    assert seen == [
        ("warning", "high resource use", "memory"),
        ("info", "resource use is no longer high", "memory"),
    ]
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT sample FROM resource_samples ORDER BY at")
    assert [len(json.loads(row["sample"])["warnings"]) for row in rows] == [0, 1, 1, 1, 1, 0, 0]


async def test_a_machine_that_does_not_respond_is_logged_once_and_measured_again(database, settings):
    hangs = TimeoutError("the measurement before has not returned")
    script = ScriptedSampler(hangs, hangs, measured(NOW), AttributeError("of a driver"))
    watch = ResourceWatch(database, settings, new_id(), "studio-1", sampler=script)

    with capture_logs() as logs:
        for _ in range(4):
            await watch.record()

    assert [line["event"] for line in logs if line["log_level"] != "debug"] == [
        "the machine could not be measured",
        "the machine can be measured again",
        "the machine could not be measured",
    ]
    assert len(await stored(database)) == 1


async def test_measurements_older_than_two_hours_become_averages_of_ten_minutes(database):
    worker = new_id()
    ages = range(1, 160)
    await store(database, worker, *[measured(NOW - age * MINUTE, cpu=age % 10) for age in ages])

    thinned = await thin_resources(database, NOW)
    again = await thin_resources(database, NOW)

    # The two hours begin at 10:04, in the period of 10:00, which stays whole.
    single = [row for row in await stored(database) if row[1] == 60]
    periods = [row for row in await stored(database) if row[1] == 600]
    start = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
    assert (thinned.measurements, thinned.periods, again.measurements) == (35, 4, 0)
    assert single[0][0] == start and len(single) == 124
    assert [at for at, _, _ in periods] == [start - n * 10 * MINUTE for n in (4, 3, 2, 1)]
    assert periods[-1][2] == [4.5, 9]


async def test_each_worker_and_resource_has_an_average_of_its_own(database):
    first, second = new_id(), new_id()
    old = NOW - timedelta(hours=5)
    await store(database, first, measured(old, cpu=10), measured(old + MINUTE, cpu=20), name="a")
    await store(database, second, measured(old, cpu=70), name="b")

    await thin_resources(database, NOW)

    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM resource_samples ORDER BY worker_name")
    assert [(row["worker_id"], row["worker_name"], row["sample"]) for row in rows] == [
        (first, "a", None),
        (second, "b", None),
    ]
    assert json.loads(rows[0]["levels"]) == {"cpu": [15, 20], "memory": [50, 50], "disk:data": [20, 20]}
    assert json.loads(rows[1]["levels"])["cpu"] == [70, 70]


async def test_measurements_are_deleted_after_a_day(database):
    ages = [timedelta(hours=25), timedelta(hours=23)]
    await store(database, new_id(), *[measured(NOW - age) for age in ages])

    await thin_resources(database, NOW)

    assert [at for at, _, _ in await stored(database)] == [datetime(2026, 11, 28, 13, 0, tzinfo=UTC)]


async def test_the_history_of_an_ended_worker_is_found_by_id_and_name(database):
    worker, at = new_id(), datetime.now(UTC) - MINUTE
    await store(database, worker, measured(at), name="gone")

    assert [point.worker_id for point in await resource_history(database, str(worker))] == [worker]
    assert [point.worker_id for point in await resource_history(database, "gone")] == [worker]


@pytest.mark.parametrize("name", ["studio-9", str(UUID(int=7))])
async def test_an_unknown_worker_has_no_history(database, name):
    with pytest.raises(NotFound, match=f"no worker '{name}'"):
        await resource_history(database, name)


async def test_the_schedule_thins_and_sums_up(engine):
    runtime = engine.runtime
    await until(lambda: current_resources(runtime.database), timeout=60)
    await store(runtime.database, new_id(), measured(datetime.now(UTC) - timedelta(hours=3)), name="old")

    text = await watch_resources(runtime.database, "resource-watch")

    assert text.startswith("1 worker, ")
    assert [seconds for _, seconds, _ in await stored(runtime.database)] == [600, 60]


async def test_the_summary_names_the_warnings_of_workers(engine):
    database, [worker] = engine.runtime.database, engine.workers
    await until(lambda: current_resources(database), timeout=60)
    limits = {"resource_warn_after": 1, "resource_warn_memory": 10.0}  # of a scripted measurement
    settings = engine.runtime.settings.model_copy(update=limits)
    later = measured(datetime.now(UTC) + MINUTE)
    await ResourceWatch(database, settings, worker.id, worker.name, sampler=ScriptedSampler(later)).record()

    [found] = warnings_of(await current_resources(database))

    assert (found.worker, found.warning.resource, found.warning.limit) == (worker.name, "memory", 10)
    assert await watch_resources(database, "x") == f"1 worker, 1 warning: {worker.name} memory 50 %"


@pytest.fixture
def redis_server(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server
    server.close()


async def test_measurements_are_published_to_redis_and_an_outage_costs_only_those_there(settings, redis_server):
    settings = type(settings)(
        _env_file=None, **{**settings.model_dump(exclude_unset=True), "redis_url": redis_server.url}
    )
    channel = resource_channel(settings)
    with Redis(port=redis_server.port, decode_responses=True, socket_timeout=60) as client, client.pubsub() as listener:
        listener.subscribe("monitor_resources")
        assert listener.get_message(timeout=60)["type"] == "subscribe"

        await channel.publish("studio-1", measured(NOW))
        message = await asyncio.to_thread(listener.get_message, timeout=60)
        published = json.loads(message["data"])
        assert (published["worker"], published["cpu"]["percent"], published["memory"]["percent"]) == (
            "studio-1",
            10,
            50,
        )
        assert published["gpu"] == {"available": False, "count": 0, "gpus": []}
        for key in ("monitor_resources", "monitor_resources:studio-1"):
            assert json.loads(client.get(key)) == published
            assert 0 < client.ttl(key) <= 180

    redis_server.kill()
    with capture_logs() as logs:
        await channel.publish("studio-1", measured(NOW + MINUTE))
        await channel.publish("studio-1", measured(NOW + 2 * MINUTE))
        assert redis_server.start()
        await channel.publish("studio-1", measured(NOW + 3 * MINUTE))
    assert [line["event"] for line in logs] == [
        "measurements cannot be published to Redis",
        "measurements are published to Redis again",
    ]
    with Redis(port=redis_server.port, decode_responses=True) as client:
        assert json.loads(client.get("monitor_resources"))["at"] == "2026-11-29T12:07:00Z"


async def test_without_the_url_of_a_redis_nothing_is_published(settings):
    assert resource_channel(settings) is None
