"""The load of workers in the API, the command line, the console and the metrics; also of a worker process."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.testing.waiters import until

from .commands import command, command_json
from .worker_command import worker_command

HIGH = {
    "resource_warn_memory": 0.1,
    "resource_warn_after": 1,
    "resource_warn_cpu": 100,
    "resource_warn_disk": 100,
    "resource_warn_gpu_memory": 100,
}
"""Settings of a worker whose memory, and nothing else, is always too high."""


async def workers(api):
    return (await api.client.get("/api/workers")).json()["workers"]


async def measured(api):
    """Wait until the worker has measured its machine; return it."""

    async def found():
        return [worker for worker in await workers(api) if worker["resources"]]

    [worker] = await until(found, timeout=60)
    return worker


async def store_period(api, worker, ago):
    """Store an average of ten minutes."""
    at = datetime.now(UTC) - ago
    async with api.runtime.database.connection() as connection:
        await connection.execute(
            "INSERT INTO resource_samples VALUES ($1, true, $2, $3, 600, $4)",
            worker["id"],
            at,
            worker["name"],
            json.dumps({"cpu": [40, 97.4], "memory": [51, 51]}),
        )


@pytest.fixture
async def high(served_with):
    async with served_with(**HIGH) as api:
        await api.engine.start_worker(name="studio-1")
        yield api, await measured(api)


async def test_the_api_has_the_newest_measurement_and_the_history(high):
    api, worker = high
    await store_period(api, worker, timedelta(hours=5))

    resources = worker["resources"]
    history = (await api.client.get(f"/api/workers/{worker['id']}/resources")).json()
    by_name = (await api.client.get("/api/workers/studio-1/resources")).json()

    assert resources["cpu"]["count"] >= 1 and resources["disks"][0]["folders"] == ["data", "scratch"]
    [warning] = resources["warnings"]
    assert (warning["resource"], warning["limit"]) == ("memory", 0.1)
    assert by_name == history
    period, newest = history["points"]
    assert (period["seconds"], period["average"]["cpu"], period["highest"]["cpu"]) == (600, 40, 97.4)
    assert (newest["seconds"], newest["at"]) == (60, resources["at"])
    assert newest["average"]["memory"] == resources["memory"]["percent"]


async def test_the_history_of_an_unknown_worker_is_not_found(api):
    response = await api.client.get("/api/workers/studio-9/resources")

    assert response.status_code == 404
    assert response.json()["detail"] == (
        "There is no worker 'studio-9', and none had this name in the last day. Known: none."
    )


async def test_the_commands_show_load_warnings_and_history(high):
    api, worker = high
    await store_period(api, worker, timedelta(hours=5))

    listed = (await command(api, "workers", "list")).stdout
    recent = (await command(api, "workers", "load", "studio-1")).stdout
    everything = (await command(api, "workers", "load", worker["id"], "--since", "1d")).stdout
    as_json = await command_json(api, "workers", "load", "studio-1", "--since", "1d")
    wrong = await command(api, "workers", "load", "studio-1", "--since", "soon", status=2)

    memory = f"{worker['resources']['memory']['percent']:.0f}%"
    heading, row = listed.splitlines()
    assert row[heading.index("MEMORY") :].startswith(memory)
    assert row[heading.index("HIGH") :].startswith(f"memory={memory}")
    assert len(recent.splitlines()) == 2 and " 60 s " in recent
    assert "40% (97%)  51%" in everything and len(everything.splitlines()) == 3
    assert [point["seconds"] for point in as_json["points"]] == [600, 60]
    assert "'soon' is neither a time" in " ".join(wrong.stderr.replace("│", " ").split())


async def test_the_console_shows_load_warnings_and_a_chart(high):
    api, worker = high

    page = (await api.client.get("/console/workers")).text
    home = (await api.client.get("/")).text
    async with api.client.stream("GET", "/console/workers/load/stream") as stream:
        first = await anext(line async for line in stream.aiter_lines() if line.startswith("data: "))

    memory = f"memory {worker['resources']['memory']['percent']:.0f} %"
    assert f'<span class="level high">{memory}</span>' in page
    assert "memory above 0.1 % since" in page
    assert f'<section id="load-{worker["id"]}">' in page and '<path class="memory" d="M' in page
    assert "studio-1" in home and f'<span class="level high">{memory}</span>' in home
    assert json.loads(first.removeprefix("data: "))["id"] == f"load-{worker['id']}"


async def test_the_metrics_have_the_load_and_what_is_high(high):
    api, worker = high
    resources = worker["resources"]

    text = (await api.client.get("/metrics")).text

    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("callsheet_worker_resource"))
    ratio = lines['callsheet_worker_resource_ratio{resource="memory",worker="studio-1"}']
    assert float(ratio) == pytest.approx(resources["memory"]["percent"] / 100)
    assert lines['callsheet_worker_resource_high{resource="memory",worker="studio-1"}'] == "1.0"
    assert lines['callsheet_worker_resource_high{resource="disk:data",worker="studio-1"}'] == "0.0"


async def test_a_worker_process_measures_itself_and_its_history_outlives_it(api, tmp_path):
    log = tmp_path / "worker.log"
    variables = {f"CALLSHEET_{name.upper()}": str(value) for name, value in HIGH.items()}
    with worker_command(api.runtime.settings, log, **variables):
        worker = await measured(api)
    await until(workers_gone(api), timeout=60)

    history = (await api.client.get(f"/api/workers/{worker['id']}/resources")).json()["points"]
    assert worker["resources"]["memory"]["worker"] > 10_000_000
    assert history[0]["at"] == worker["resources"]["at"]
    assert log.read_text().count("high resource use") == 1


def workers_gone(api):
    async def gone():
        return await workers(api) == []

    return gone


async def test_a_worker_that_was_never_measured_shows_no_load(api):
    async with api.runtime.database.connection() as connection:
        await sql.register_worker(
            connection,
            id=new_id(),
            name="old-1",
            host="old",
            pid=1,
            version="0.0.1",
            lanes='{"test": 1}',
            operations=["noop"],
            missing="{}",
            timeout=12.0,
            only_reserved=False,
        )

    [worker] = await workers(api)
    page = (await api.client.get("/console/workers")).text
    listed = (await command(api, "workers", "list")).stdout

    assert worker["resources"] is None
    assert "old-1" in page and '<section id="load-' not in page
    assert "old-1" in listed
