"""Models that our own ComfyUI has, too, in a real engine: made at home while there is room, else ordered, and once."""

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
ASKED = plan(job("draw", "generate", params={"modelId": "studio/square", "inputs": {"colour": 13395456}}))


@pytest.fixture
async def home(tmp_path):
    async with running_comfyui(tmp_path / "server") as running:
        yield running


@pytest.fixture
async def replicate():
    async with FakeReplicate() as stand_in:
        yield stand_in


@pytest.fixture
def settings(settings, tmp_path, know_models, home, replicate, monkeypatch):
    for name, value in replicate.environment().items():
        monkeypatch.setenv(name, value)
    workflows, models = tmp_path / "workflows", tmp_path / "models.yaml"
    workflows.mkdir()
    (workflows / "square.json").write_text(json.dumps(GRAPH))
    (workflows / "square.inputs.yaml").write_text(INPUTS)
    models.write_text(MODELS)
    know_models(models)
    return settings.model_copy(
        update={
            "provider_poll_initial": SOON,
            "provider_poll_max": SOON,
            "provider_poll_interval": SOON,
            "retry_base": SOON,
            "models_file": models,
            "local_queue_limit": 1,
            "comfyui_workflows": workflows,
            "comfyui_api_url": home.url,
            "comfyui_poll_interval_ms": 100,
            "comfyui_timeout_ms": 1000,
        }
    )


@pytest.fixture
async def engine(settings):
    async with running_engine([comfyui, generate], settings=settings, lanes={"generate": 4, "comfyui": 1}) as engine:
        yield engine


async def at_work(home):
    return await asyncio.wait_for(home.executor.reached.get(), 20)


def let_it_run(home):
    for _ in range(2):
        home.executor.steps.release()


def ordered(execution):
    """Who made it, by the result of the job."""
    [draw] = [found for found in execution.jobs if found.job_id == "draw"]
    assert draw.status == "succeeded", draw.error
    return draw.result["provider"]


async def messages(engine, execution_id):
    found = await engine.events(execution_id, job="draw")
    return " ".join(str(event.data) for event in found if event.type == "job.log")


async def test_with_room_at_home_nothing_is_ordered(engine, home, replicate):
    execution_id = await engine.submit(ASKED)
    await at_work(home)
    let_it_run(home)
    execution = await engine.ended(execution_id)

    assert ordered(execution) == "comfyui"
    assert statuses(execution) == {"draw": "succeeded", "draw/at-home": "succeeded"}
    assert home.prompts[0]["prompt"]["1"]["inputs"]["color"] == 13395456
    assert execution.jobs[0].result["images"][0]["probe"]["width"] == 32
    assert replicate.tasks == {}


async def test_when_enough_wait_at_home_it_is_ordered_elsewhere(engine, home, replicate):
    first = await engine.submit(ASKED)
    await at_work(home)
    second = await engine.submit(ASKED)
    await engine.wait(second, "job.pending", job="draw")
    third = await engine.ended(await engine.submit(ASKED))

    assert ordered(third) == "replicate"
    assert statuses(third) == {"draw": "succeeded"}
    assert len(replicate.tasks) == 1
    assert "1 jobs wait in the queue comfyui" in await messages(engine, third.execution_id)
    for waiting in (first, second):
        let_it_run(home)
        assert ordered(await engine.ended(waiting)) == "comfyui"
    assert len(replicate.tasks) == 1


@pytest.mark.parametrize("times", [1, 4])
async def test_when_home_does_not_answer_it_is_ordered_elsewhere_at_once(engine, home, replicate, times):
    home.away = True

    for _ in range(times):  # after some failures the server rests
        execution = await engine.run(ASKED, timeout=15)
        assert ordered(execution) == "replicate"
        assert statuses(execution) == {"draw": "succeeded", "draw/at-home": "failed"}

    assert len(replicate.tasks) == times
    assert execution.status == "succeeded"
    assert next(j for j in execution.jobs if "/" in j.job_id).attempts == 1


async def test_when_home_fails_in_mid_run_it_is_ordered_elsewhere(engine, home, replicate):
    execution_id = await engine.submit(ASKED)
    await at_work(home)
    home.executor.interrupt(None)
    execution = await engine.ended(execution_id)

    assert ordered(execution) == "replicate"
    assert next(j for j in execution.jobs if "/" in j.job_id).error.code == "interrupted"
    assert len(replicate.tasks) == 1


async def test_when_home_goes_away_in_mid_run_it_is_ordered_elsewhere(engine, home, replicate):
    execution_id = await engine.submit(ASKED)
    await at_work(home)
    home.away = True
    execution = await engine.ended(execution_id)

    assert ordered(execution) == "replicate"
    assert len(replicate.tasks) == 1
    home.away = False


async def test_when_home_is_restarted_in_mid_run_it_is_made_there_anew(engine, home, replicate):
    execution_id = await engine.submit(ASKED)
    await at_work(home)
    await home.restart()
    await at_work(home)
    let_it_run(home)
    execution = await engine.ended(execution_id)

    assert ordered(execution) == "comfyui"
    assert replicate.tasks == {}


async def test_what_home_refuses_is_ordered_elsewhere(engine, home, replicate, settings):
    graph = {**GRAPH, "2": {"class_type": "NodeThatNobodyHas", "inputs": {"image": ["1", 0]}}}
    (settings.comfyui_workflows / "square.json").write_text(json.dumps(graph))

    execution = await engine.run(ASKED)

    assert ordered(execution) == "replicate"
    assert home.accepted == []
    assert len(replicate.tasks) == 1


async def test_a_cancel_reaches_what_runs_at_home(engine, home, replicate):
    execution_id = await engine.submit(ASKED)
    await at_work(home)
    await engine.cancel(execution_id)
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"draw": "cancelled", "draw/at-home": "cancelled"}
    await until(lambda: home.executor.remaining == 0)
    assert home.interrupts == home.accepted
    assert replicate.tasks == {}


async def test_a_cancel_of_the_job_alone_reaches_what_runs_at_home(engine, home, replicate):
    execution_id = await engine.submit(ASKED)
    await at_work(home)
    await engine.cancel(execution_id, job="draw")
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"draw": "cancelled", "draw/at-home": "cancelled"}
    await until(lambda: home.executor.remaining == 0)
    assert replicate.tasks == {}


async def test_without_a_worker_for_home_it_is_ordered_elsewhere(settings, home, replicate):
    async with running_engine([comfyui, generate], settings=settings, lanes={"generate": 1}) as engine:
        execution = await engine.run(ASKED, timeout=15)

    assert ordered(execution) == "replicate"
    assert statuses(execution) == {"draw": "succeeded"}


async def test_while_the_queue_at_home_is_paused_it_is_ordered_elsewhere(engine, home, replicate):
    await engine.runtime.database.retry(lambda c: c.execute("INSERT INTO queues VALUES ('comfyui', now())"))

    execution = await engine.run(ASKED, timeout=15)

    assert ordered(execution) == "replicate"
    assert home.accepted == []
