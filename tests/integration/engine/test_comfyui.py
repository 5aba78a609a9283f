"""ComfyUI jobs in a real engine: a prompt survives its worker and is interrupted with its cancelled job."""

import asyncio

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
    more = {"comfyui_api_url": server.url, "comfyui_poll_interval_ms": 200, "comfyui_timeout_ms": 5000}
    return settings.model_copy(update={**more, "grace_period": settings.heartbeat_interval / 10})


@pytest.fixture
async def engine(settings):
    async with running_engine([comfyui], settings=settings) as engine:
        yield engine


def finish_prompt(server):
    for _ in range(2):
        server.executor.steps.release()


async def prompt_started(server):
    await asyncio.wait_for(server.executor.reached.get(), 20)


async def test_a_job_keeps_its_file_and_reports_progress(engine, server):
    execution_id = await engine.submit(PLAN)
    await prompt_started(server)
    finish_prompt(server)
    execution = await engine.ended(execution_id)

    assert execution.status == "succeeded"
    [image] = execution.jobs[0].result["images"]
    assert (image["probe"]["width"], image["mediaType"]) == (32, "image/png")
    assert any(event.data.get("prompt_id") for event in await engine.events(execution_id) if event.type == "job.log")


async def test_a_prompt_of_a_stopped_worker_is_resumed_by_the_next(engine, server):
    execution_id = await engine.submit(PLAN)
    await prompt_started(server)
    await engine.stop_worker(engine.workers[0])
    assert server.interrupts == []
    await engine.start_worker()
    await until(lambda: len(server.client_ids) == 2)
    finish_prompt(server)

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert len(server.accepted) == 1


async def test_a_cancelled_job_interrupts_its_prompt(engine, server):
    execution_id = await engine.submit(PLAN)
    await prompt_started(server)
    await engine.cancel(execution_id)

    execution = await engine.ended(execution_id)
    assert execution.status == "cancelled"
    await until(lambda: server.executor.remaining == 0)
    assert server.interrupts == server.accepted


async def test_a_prompt_lost_with_its_server_is_sent_again(engine, server):
    execution_id = await engine.submit(PLAN)
    await prompt_started(server)
    await server.restart()
    await asyncio.wait_for(server.executor.reached.get(), 20)
    finish_prompt(server)

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert len(set(server.accepted)) == 2
