"""Local-first routing in a real engine: local ComfyUI while its queue is short, else a provider, and only once."""

import asyncio
import json
from datetime import timedelta

import pytest
from plans import job, plan, statuses

from callsheet.fakes.comfyui import running_comfyui
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Queued, Running, Succeeded, sample_image
from callsheet.operations.comfyui.operation import comfyui
from callsheet.operations.generate import generate
from callsheet.testing.engine import running_engine
from callsheet.testing.waiters import until

SOON = timedelta(seconds=0.05)
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": 2}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "it"}},
}
INPUTS = """
inputs:
  tint: {to: 1.color, type: integer, min: 0, max: 16777215}
"""
MODELS = """
- id: studio/square
  name: Squares
  makes: image
  offers:
    - {provider: comfyui, model: square, parameters: {tint: {to: tint, kind: integer}}}
    - {provider: replicate, model: black-forest-labs/flux-schnell, parameters: {tint: {to: tint, kind: integer}}}
"""
PLAN = plan(job("draw", "generate", params={"modelId": "studio/square", "inputs": {"tint": 13395456}}))


@pytest.fixture
async def local_server(tmp_path):
    async with running_comfyui(tmp_path / "server") as running:
        yield running


@pytest.fixture
async def replicate():
    async with FakeReplicate() as fake:
        fake.script(Queued(), Running(0.5), Succeeded((sample_image(),)))
        yield fake


@pytest.fixture
def settings(settings, tmp_path, local_server, replicate, monkeypatch):
    for name, value in replicate.environment().items():
        monkeypatch.setenv(name, value)
    workflows, models = tmp_path / "workflows", tmp_path / "models.yaml"
    workflows.mkdir()
    (workflows / "square.json").write_text(json.dumps(GRAPH))
    (workflows / "square.inputs.yaml").write_text(INPUTS)
    models.write_text(MODELS)
    return settings.model_copy(
        update={
            "provider_poll_initial": SOON,
            "provider_poll_max": SOON,
            "provider_poll_interval": SOON,
            "retry_base": SOON,
            "models_file": models,
            "local_queue_limit": 1,
            "comfyui_workflows": workflows,
            "comfyui_api_url": local_server.url,
            "comfyui_poll_interval": timedelta(seconds=0.1),
            "comfyui_timeout": timedelta(seconds=1),
            "comfyui_away_limit": timedelta(seconds=0.5),
        }
    )


@pytest.fixture
async def engine(settings):
    async with running_engine([comfyui, generate], settings=settings, lanes={"generate": 4, "comfyui": 1}) as engine:
        yield engine


async def node_reached(local_server):
    return await asyncio.wait_for(local_server.executor.reached_nodes.get(), 20)


def finish_steps(local_server):
    for _ in range(2):
        local_server.executor.step_permits.release()


def provider_of(execution):
    """Return the provider in the job's result."""
    [draw] = [found for found in execution.jobs if found.job_id == "draw"]
    assert draw.status == "succeeded", draw.error
    return draw.result["provider"]


async def log_text(engine, execution_id):
    found = await engine.events(execution_id, job="draw")
    return " ".join(str(event.data) for event in found if event.type == "job.log")


async def test_with_a_short_local_queue_no_provider_is_used(engine, local_server, replicate):
    execution_id = await engine.submit(PLAN)
    await node_reached(local_server)
    finish_steps(local_server)
    execution = await engine.ended(execution_id)

    assert provider_of(execution) == "comfyui"
    assert statuses(execution) == {"draw": "succeeded", "draw/local": "succeeded"}
    assert local_server.prompt_requests[0]["prompt"]["1"]["inputs"]["color"] == 13395456
    assert execution.jobs[0].result["images"][0]["probe"]["width"] == 32
    assert replicate.tasks == {}


async def test_with_a_long_local_queue_a_provider_is_used(engine, local_server, replicate):
    first = await engine.submit(PLAN)
    await node_reached(local_server)
    second = await engine.submit(PLAN)
    await engine.wait(second, "job.pending", job="draw")
    third = await engine.ended(await engine.submit(PLAN))

    assert provider_of(third) == "replicate"
    assert statuses(third) == {"draw": "succeeded"}
    assert len(replicate.tasks) == 1
    assert "1 jobs wait in the queue comfyui" in await log_text(engine, third.execution_id)
    for waiting in (first, second):
        finish_steps(local_server)
        assert provider_of(await engine.ended(waiting)) == "comfyui"
    assert len(replicate.tasks) == 1


@pytest.mark.parametrize("times", [1, 4])
async def test_when_the_local_server_does_not_respond_a_provider_is_used_at_once(
    engine, local_server, replicate, times
):
    local_server.unavailable = True

    for _ in range(times):  # the first failure marks the server
        execution = await engine.run(PLAN, timeout=15)
        assert provider_of(execution) == "replicate"
        assert statuses(execution) == {"draw": "succeeded", "draw/local": "failed"}

    assert len(replicate.tasks) == times
    assert execution.status == "succeeded"
    assert next(j for j in execution.jobs if "/" in j.job_id).attempts == 1


async def test_after_a_local_failure_a_provider_is_used(engine, local_server, replicate):
    execution_id = await engine.submit(PLAN)
    await node_reached(local_server)
    local_server.executor.interrupt(None)
    execution = await engine.ended(execution_id)

    assert provider_of(execution) == "replicate"
    assert next(j for j in execution.jobs if "/" in j.job_id).error.code == "interrupted"
    assert len(replicate.tasks) == 1


async def test_when_the_local_server_becomes_unreachable_a_provider_is_used(engine, local_server, replicate):
    execution_id = await engine.submit(PLAN)
    await node_reached(local_server)
    local_server.unavailable = True
    execution = await engine.ended(execution_id)

    assert provider_of(execution) == "replicate"
    assert len(replicate.tasks) == 1
    local_server.unavailable = False


async def test_after_a_restart_of_the_local_server_it_runs_there_again(engine, local_server, replicate):
    execution_id = await engine.submit(PLAN)
    await node_reached(local_server)
    await local_server.restart()
    await node_reached(local_server)
    finish_steps(local_server)
    execution = await engine.ended(execution_id)

    assert provider_of(execution) == "comfyui"
    assert replicate.tasks == {}


async def test_when_the_local_server_rejects_the_prompt_a_provider_is_used(engine, local_server, replicate, settings):
    graph = {**GRAPH, "2": {"class_type": "UnknownNode", "inputs": {"image": ["1", 0]}}}
    (settings.comfyui_workflows / "square.json").write_text(json.dumps(graph))

    execution = await engine.run(PLAN)

    assert provider_of(execution) == "replicate"
    assert local_server.accepted == []
    assert len(replicate.tasks) == 1


async def test_a_cancel_of_the_execution_cancels_the_local_prompt(engine, local_server, replicate):
    execution_id = await engine.submit(PLAN)
    await node_reached(local_server)
    await engine.cancel(execution_id)
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"draw": "cancelled", "draw/local": "cancelled"}
    await until(lambda: local_server.executor.remaining == 0)
    assert local_server.interrupts == local_server.accepted
    assert replicate.tasks == {}


async def test_a_cancel_of_the_job_cancels_the_local_prompt(engine, local_server, replicate):
    execution_id = await engine.submit(PLAN)
    await node_reached(local_server)
    await engine.cancel(execution_id, job="draw")
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"draw": "cancelled", "draw/local": "cancelled"}
    await until(lambda: local_server.executor.remaining == 0)
    assert replicate.tasks == {}


async def test_without_a_local_worker_a_provider_is_used(settings, local_server, replicate):
    async with running_engine([comfyui, generate], settings=settings, lanes={"generate": 1}) as engine:
        execution = await engine.run(PLAN, timeout=15)

    assert provider_of(execution) == "replicate"
    assert statuses(execution) == {"draw": "succeeded"}


async def test_while_the_local_queue_is_paused_a_provider_is_used(engine, local_server, replicate):
    await engine.runtime.database.retry(lambda c: c.execute("INSERT INTO queues VALUES ('comfyui', now())"))

    execution = await engine.run(PLAN, timeout=15)

    assert provider_of(execution) == "replicate"
    assert local_server.accepted == []
