"""Models that local ComfyUI and a provider offer, in a real engine: local first, the provider when local is full."""

import asyncio
import json
from datetime import timedelta

import pytest
from plans import job, plan, statuses

from callsheet.fakes.comfyui import running_comfyui
from callsheet.fakes.providers.replicate import FakeReplicate
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
  colour: {to: 1.color, type: integer, min: 0, max: 16777215}
"""
MODELS = """
- id: studio/square
  name: Squares
  makes: image
  offers:
    - {provider: comfyui, model: square, parameters: {colour: {to: colour, kind: integer}}}
    - {provider: replicate, model: black-forest-labs/flux-schnell, parameters: {colour: {to: colour, kind: integer}}}
"""
PLAN = plan(job("draw", "generate", params={"modelId": "studio/square", "inputs": {"colour": 13395456}}))


@pytest.fixture
async def comfyui_server(tmp_path):
    async with running_comfyui(tmp_path / "server") as running:
        yield running


@pytest.fixture
async def replicate():
    async with FakeReplicate() as fake:
        yield fake


@pytest.fixture
def settings(settings, tmp_path, use_models_file, comfyui_server, replicate):
    workflows, models = tmp_path / "workflows", tmp_path / "models.yaml"
    workflows.mkdir()
    (workflows / "square.json").write_text(json.dumps(GRAPH))
    (workflows / "square.inputs.yaml").write_text(INPUTS)
    models.write_text(MODELS)
    use_models_file(models)
    return settings.model_copy(
        update={
            **replicate.opened_settings().model_dump(include=set(replicate.settings())),
            "provider_poll_initial": SOON,
            "provider_poll_max": SOON,
            "provider_poll_interval": SOON,
            "retry_base": SOON,
            "models_file": models,
            "local_queue_limit": 1,
            "comfyui_workflows": workflows,
            "comfyui_api_url": comfyui_server.url,
            "comfyui_poll_interval_ms": 100,
            "comfyui_timeout_ms": 1000,
        }
    )


@pytest.fixture
async def engine(settings):
    async with running_engine([comfyui, generate], settings=settings, lanes={"generate": 4, "comfyui": 1}) as engine:
        yield engine


async def prompt_started(comfyui_server):
    return await asyncio.wait_for(comfyui_server.executor.reached.get(), 20)


def finish_prompt(comfyui_server):
    for _ in range(2):
        comfyui_server.executor.steps.release()


def used_provider(execution):
    """The provider in the result of the job."""
    [draw] = [found for found in execution.jobs if found.job_id == "draw"]
    assert draw.status == "succeeded", draw.error
    return draw.result["provider"]


async def messages(engine, execution_id):
    found = await engine.events(execution_id, job="draw")
    return " ".join(str(event.data) for event in found if event.type == "job.log")


async def test_with_local_capacity_nothing_is_submitted_to_a_provider(engine, comfyui_server, replicate):
    execution_id = await engine.submit(PLAN)
    await prompt_started(comfyui_server)
    finish_prompt(comfyui_server)
    execution = await engine.ended(execution_id)

    assert used_provider(execution) == "comfyui"
    assert statuses(execution) == {"draw": "succeeded", "draw/at-home": "succeeded"}
    assert comfyui_server.prompts[0]["prompt"]["1"]["inputs"]["color"] == 13395456
    assert execution.jobs[0].result["images"][0]["probe"]["width"] == 32
    assert replicate.tasks == {}


async def test_when_the_local_queue_is_full_a_provider_is_used(engine, comfyui_server, replicate):
    first = await engine.submit(PLAN)
    await prompt_started(comfyui_server)
    second = await engine.submit(PLAN)
    await engine.wait(second, "job.pending", job="draw")
    third = await engine.ended(await engine.submit(PLAN))

    assert used_provider(third) == "replicate"
    assert statuses(third) == {"draw": "succeeded"}
    assert len(replicate.tasks) == 1
    assert "1 jobs wait in the queue comfyui" in await messages(engine, third.execution_id)
    for waiting in (first, second):
        finish_prompt(comfyui_server)
        assert used_provider(await engine.ended(waiting)) == "comfyui"
    assert len(replicate.tasks) == 1


@pytest.mark.parametrize("times", [1, 4])
async def test_when_comfyui_is_unreachable_a_provider_is_used_at_once(engine, comfyui_server, replicate, times):
    comfyui_server.away = True

    for _ in range(times):  # after some failures the server is not tried for a while
        execution = await engine.run(PLAN, timeout=15)
        assert used_provider(execution) == "replicate"
        assert statuses(execution) == {"draw": "succeeded", "draw/at-home": "failed"}

    assert len(replicate.tasks) == times
    assert execution.status == "succeeded"
    assert next(j for j in execution.jobs if "/" in j.job_id).attempts == 1


async def test_when_comfyui_fails_during_a_run_a_provider_is_used(engine, comfyui_server, replicate):
    execution_id = await engine.submit(PLAN)
    await prompt_started(comfyui_server)
    comfyui_server.executor.interrupt(None)
    execution = await engine.ended(execution_id)

    assert used_provider(execution) == "replicate"
    assert next(j for j in execution.jobs if "/" in j.job_id).error.code == "interrupted"
    assert len(replicate.tasks) == 1


async def test_when_comfyui_becomes_unreachable_during_a_run_a_provider_is_used(engine, comfyui_server, replicate):
    execution_id = await engine.submit(PLAN)
    await prompt_started(comfyui_server)
    comfyui_server.away = True
    execution = await engine.ended(execution_id)

    assert used_provider(execution) == "replicate"
    assert len(replicate.tasks) == 1
    comfyui_server.away = False


async def test_when_comfyui_is_restarted_during_a_run_it_runs_the_prompt_again(engine, comfyui_server, replicate):
    execution_id = await engine.submit(PLAN)
    await prompt_started(comfyui_server)
    await comfyui_server.restart()
    await prompt_started(comfyui_server)
    finish_prompt(comfyui_server)
    execution = await engine.ended(execution_id)

    assert used_provider(execution) == "comfyui"
    assert replicate.tasks == {}


async def test_when_comfyui_rejects_a_prompt_a_provider_is_used(engine, comfyui_server, replicate, settings):
    graph = {**GRAPH, "2": {"class_type": "UnknownNode", "inputs": {"image": ["1", 0]}}}
    (settings.comfyui_workflows / "square.json").write_text(json.dumps(graph))

    execution = await engine.run(PLAN)

    assert used_provider(execution) == "replicate"
    assert comfyui_server.accepted == []
    assert len(replicate.tasks) == 1


async def test_a_cancel_of_the_execution_interrupts_the_local_prompt(engine, comfyui_server, replicate):
    execution_id = await engine.submit(PLAN)
    await prompt_started(comfyui_server)
    await engine.cancel(execution_id)
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"draw": "cancelled", "draw/at-home": "cancelled"}
    await until(lambda: comfyui_server.executor.remaining == 0)
    assert comfyui_server.interrupts == comfyui_server.accepted
    assert replicate.tasks == {}


async def test_a_cancel_of_the_job_interrupts_the_local_prompt(engine, comfyui_server, replicate):
    execution_id = await engine.submit(PLAN)
    await prompt_started(comfyui_server)
    await engine.cancel(execution_id, job="draw")
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"draw": "cancelled", "draw/at-home": "cancelled"}
    await until(lambda: comfyui_server.executor.remaining == 0)
    assert replicate.tasks == {}


async def test_without_a_local_worker_a_provider_is_used(settings, comfyui_server, replicate):
    async with running_engine([comfyui, generate], settings=settings, lanes={"generate": 1}) as engine:
        execution = await engine.run(PLAN, timeout=15)

    assert used_provider(execution) == "replicate"
    assert statuses(execution) == {"draw": "succeeded"}


async def test_while_the_local_queue_is_paused_a_provider_is_used(engine, comfyui_server, replicate):
    await engine.runtime.database.retry(lambda c: c.execute("INSERT INTO queues VALUES ('comfyui', now())"))

    execution = await engine.run(PLAN, timeout=15)

    assert used_provider(execution) == "replicate"
    assert comfyui_server.accepted == []
