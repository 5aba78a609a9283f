"""ComfyUI jobs in a real engine: a prompt survives its worker, and is cancelled with its job."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from callsheet.fakes.comfyui import running_comfyui
from callsheet.operations.comfyui.operation import comfyui
from callsheet.testing.engine import running_engine
from callsheet.testing.waiters import until

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": 2}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "it"}},
}
PLAN = {"jobs": [{"id": "draw", "operation": "comfyui", "params": {"graph": GRAPH}}]}


@pytest.fixture
async def server(tmp_path):
    async with running_comfyui(tmp_path / "server") as running:
        yield running


@pytest.fixture
def settings(settings, server):
    durations = {
        "comfyui_poll_interval": timedelta(seconds=0.2),
        "comfyui_timeout": timedelta(seconds=5),
        "grace_period": settings.heartbeat_interval / 10,
    }
    return settings.model_copy(update={"comfyui_api_url": server.url, **durations})


@pytest.fixture
async def engine(settings):
    async with running_engine([comfyui], settings=settings) as engine:
        yield engine


def finish_steps(server):
    for _ in range(2):
        server.executor.step_permits.release()


async def node_reached(server):
    await asyncio.wait_for(server.executor.reached_nodes.get(), 20)


async def test_a_job_stores_its_file_and_logs_the_prompt(engine, server):
    execution_id = await engine.submit(PLAN)
    await node_reached(server)
    finish_steps(server)
    execution = await engine.ended(execution_id)

    assert execution.status == "succeeded"
    [image] = execution.jobs[0].result["images"]
    assert (image["probe"]["width"], image["mediaType"]) == (32, "image/png")
    assert any(event.data.get("prompt_id") for event in await engine.events(execution_id) if event.type == "job.log")


async def test_the_prompt_of_a_stopped_worker_is_resumed_by_the_next(engine, server):
    execution_id = await engine.submit(PLAN)
    await node_reached(server)
    server.executor.step_permits.release()
    before = await _progress(engine, execution_id, lambda job: job.progress > 0.2)
    await engine.stop_worker(engine.workers[0])
    assert server.interrupts == []
    await engine.start_worker()
    await until(lambda: len(server.client_ids) == 2)
    taken_over = await _progress(engine, execution_id, lambda job: "an earlier run" in (job.progress_message or ""))
    assert taken_over == pytest.approx(before, abs=0.01)
    server.executor.step_permits.release()

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert len(server.accepted) == 1


async def _progress(engine, execution_id, condition):
    """Wait until a condition holds for the job, and return its progress."""
    job = await engine.job(execution_id, "draw")
    async with asyncio.timeout(20):
        while not condition(job):
            await asyncio.sleep(0.05)  # sleep: progress is stored some times per second
            job = await engine.job(execution_id, "draw")
    return job.progress


async def test_a_cancelled_job_cancels_its_prompt(engine, server):
    execution_id = await engine.submit(PLAN)
    await node_reached(server)
    await engine.cancel(execution_id)

    execution = await engine.ended(execution_id)
    assert execution.status == "cancelled"
    await until(lambda: server.executor.remaining == 0)
    assert server.interrupts == server.accepted


async def test_jobs_that_wait_for_a_slot_stay_in_the_queue_in_the_order_of_their_priorities(settings, server):
    def job(name, priority):
        graph = {**GRAPH, "3": {**GRAPH["3"], "inputs": {"images": ["2", 0], "filename_prefix": name}}}
        params = {"graph": graph, "uniqueNames": False}
        return {"id": name, "operation": "comfyui", "priority": priority, "timeout": 60, "params": params}

    async with running_engine([comfyui], settings=settings, lanes={"comfyui": 4}) as engine:
        execution_id = await engine.submit({"jobs": [job("first", 5)]})
        await node_reached(server)
        other = await engine.submit({"jobs": [job("low", 1), job("high", 9)]})
        await until(lambda: _queued(engine, other))
        waiting = await engine.job(other, "high")
        for _ in range(6):
            server.executor.step_permits.release()
        await engine.ended(execution_id)
        execution = await engine.ended(other)

    assert execution.status == "succeeded"
    assert (waiting.wait_reason.code, waiting.started_at) == ("no_free_slot", None)
    names = [request["prompt"]["3"]["inputs"]["filename_prefix"] for request in server.prompt_requests]
    assert names == ["first", "high", "low"]


async def _queued(engine, execution_id):
    return all(job.status == "queued" for job in (await engine.execution(execution_id)).jobs)


async def test_a_job_waits_for_its_server_with_the_reason_and_without_an_attempt(engine, server, monkeypatch):
    monkeypatch.setattr("callsheet.comfyui.pool._RECHECK_INTERVAL", 0.1)
    monkeypatch.setattr("callsheet.comfyui.server._PROBE_INTERVAL", 0.1)
    server.unavailable = True
    execution_id = await engine.submit(PLAN)
    blocked = (await engine.wait(execution_id, "job.blocked")).data
    waiting = await engine.job(execution_id, "draw")
    server.unavailable = False
    await node_reached(server)
    finish_steps(server)
    execution = await engine.ended(execution_id)

    assert (execution.status, execution.jobs[0].attempts) == ("succeeded", 0)
    assert blocked["code"] == waiting.wait_reason.code == "server"
    assert waiting.status == "running"
    assert "does not respond since" in blocked["message"]
    [facts] = waiting.wait_reason.facts["servers"]
    assert facts["state"] == "unreachable"
    assert facts["since"]
    assert "502" in facts["reason"]
    assert execution.jobs[0].wait_reason is None


async def test_a_prompt_lost_in_a_restart_is_submitted_again(engine, server):
    execution_id = await engine.submit(PLAN)
    await node_reached(server)
    await server.restart()
    await asyncio.wait_for(server.executor.reached_nodes.get(), 20)
    finish_steps(server)

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert len(set(server.accepted)) == 2


async def test_the_managed_server_is_stopped_with_the_runtime(settings, tmp_path):
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    (folder / "main.py").write_text("from callsheet.fakes.comfyui.program import main\nmain()\n")
    own = {"comfyui_api_url": None, "comfyui_path": folder, "comfyui_python": Path(sys.executable)}
    graph = {"1": GRAPH["1"], "3": {**GRAPH["3"], "inputs": {"images": ["1", 0], "filename_prefix": "it"}}}
    plan = {"jobs": [{"id": "draw", "operation": "comfyui", "params": {"graph": graph}}]}
    async with running_engine([comfyui], settings=settings.model_copy(update=own)) as engine:
        execution = await engine.run(plan, timeout=30)
        assert len(managed_processes()) == 1

    assert execution.status == "succeeded", execution.jobs[0].error
    assert managed_processes() == []


def managed_processes():
    return [child for child in psutil.Process().children() if "main.py" in child.cmdline()]
