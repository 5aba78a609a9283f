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
    await engine.stop_worker(engine.workers[0])
    assert server.interrupts == []
    await engine.start_worker()
    await until(lambda: len(server.client_ids) == 2)
    finish_steps(server)

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert len(server.accepted) == 1


async def test_a_cancelled_job_cancels_its_prompt(engine, server):
    execution_id = await engine.submit(PLAN)
    await node_reached(server)
    await engine.cancel(execution_id)

    execution = await engine.ended(execution_id)
    assert execution.status == "cancelled"
    await until(lambda: server.executor.remaining == 0)
    assert server.interrupts == server.accepted


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
