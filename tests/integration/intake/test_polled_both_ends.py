"""A Callsheet server without ComfyUI, and a polled worker elsewhere with a database and a ComfyUI of its own."""

import asyncio
import base64
import hashlib
import io
import json
import os
from contextlib import asynccontextmanager

import httpx2
import pytest
from PIL import Image

from callsheet.api.app import create_app
from callsheet.fakes.comfyui import running_comfyui
from callsheet.fakes.providers.server import serve_app
from callsheet.intake.polled_api.intake import PolledAPIIntake
from callsheet.intake.runner import IntakeRunner
from callsheet.operation_api.catalog import discover
from callsheet.operations.comfyui.params import ComfyUIParams
from callsheet.testing.engine import running_engine

KEY = "a-key-for-this-server"
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "film"}},
}
LOAD = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "any.png"}}}


MODELS = """
- id: studio/square
  name: Squares
  makes: image
  offers:
    - {provider: comfyui, model: square, parameters: {}}
    - {provider: replicate, model: black-forest-labs/flux-schnell, parameters: {}}
"""


@pytest.fixture
async def server(settings):
    async with serving(settings, lanes={"default": 1}) as served:
        yield served


@asynccontextmanager
async def serving(settings, *, lanes, **changes):
    """An engine whose worker has no lane for ComfyUI, with its API."""
    changes |= {
        "api_key": type(settings).model_validate({"api_key": KEY}).api_key,
        "rescue_interval": settings.rescue_interval / 20,
    }
    settings = settings.model_copy(update=changes)
    async with (
        running_engine(discover().operations(), settings=settings, lanes=lanes) as engine,
        serve_app(create_app(engine.runtime)) as url,
        httpx2.AsyncClient(
            base_url=url, trust_env=False, timeout=60, headers={"Authorization": f"Bearer {KEY}"}
        ) as client,
    ):
        yield engine, client


def plan(graph=GRAPH, **params):
    return {"jobs": [{"id": "video", "operation": "comfyui", "params": {"graph": graph, **params}}]}


async def take(client):
    response = await client.get("/api/worker/task")
    assert response.status_code == 200, response.text
    return response.json()


def completed(contents, name="film.png"):
    return {
        "status": "COMPLETED",
        "files": [{"filename": name, "type": "base64", "data": base64.b64encode(contents).decode()}],
    }


async def test_a_worker_elsewhere_runs_the_job_of_a_server_without_comfyui(server, new_database, settings, tmp_path):
    engine, client = server
    execution_id = await engine.submit(plan())
    async with running_comfyui(tmp_path / "comfyui") as comfyui:
        home = settings.model_copy(
            update={
                "database_url": type(settings).model_validate({"database_url": new_database()}).database_url,
                "data_dir": tmp_path / "home",
                "polled_api_url": str(client.base_url),
                "polled_api_key": engine.runtime.settings.api_key,
                "comfyui_api_url": comfyui.url,
                "allow_private_addresses": True,
                "allow_http": True,
            }
        )
        async with running_engine(discover().operations(), settings=home) as worker:
            runner = IntakeRunner(PolledAPIIntake, worker.runtime)
            running = asyncio.create_task(runner.run())
            ended = await engine.ended(execution_id, timeout=90)
            runner.stop()
            await running
    assert ended.status == "succeeded", ended.jobs[0].error
    (artifact,) = ended.artifacts
    assert artifact.media_type == "image/png"
    contents = engine.runtime.storage.path(artifact.key).read_bytes()
    assert hashlib.sha256(contents).hexdigest() == artifact.sha256
    assert ended.jobs[0].result["images"][0]["artifactId"] == str(artifact.artifact_id)


async def test_a_polled_worker_counts_as_a_local_server_for_a_model(settings, tmp_path):
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "square.json").write_text(json.dumps(GRAPH))
    (tmp_path / "models.yaml").write_text(MODELS)
    files = {"models_file": tmp_path / "models.yaml", "comfyui_workflows": tmp_path / "workflows"}
    draw = {"jobs": [{"id": "draw", "operation": "generate", "params": {"modelId": "studio/square"}, "retries": 0}]}
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(picture, "PNG")

    async with serving(settings, lanes={"generate": 1}, **files) as (engine, client):
        # No worker has polled yet: the provider is tried, which is not configured here.
        alone = await engine.ended(await engine.submit(draw))
        assert (await client.get("/api/worker/task")).status_code == 204
        execution_id = await engine.submit(draw)
        await engine.wait(execution_id, "job.queued", job="draw/local")
        task = await take(client)
        assert (await client.post(task["callback_url"], json=completed(picture.getvalue()))).status_code == 200
        ended = await engine.ended(execution_id)

    assert (alone.status, [job.job_id for job in alone.jobs]) == ("failed", ["draw"])
    assert (ended.status, [job.job_id for job in ended.jobs]) == ("succeeded", ["draw", "draw/local"])
    assert ended.jobs[0].result["provider"] == "comfyui"


async def test_the_oldest_job_is_handed_out_once_and_a_second_result_is_refused(server):
    engine, client = server
    first, second = await engine.submit(plan()), await engine.submit(plan())
    task, other = await take(client), await take(client)
    assert (await client.get("/api/worker/task")).status_code == 204
    assert task["id"].startswith(str((await engine.job(first, "video")).id))
    assert other["id"].startswith(str((await engine.job(second, "video")).id))
    assert task["callback_url"].endswith(f"/api/i2v-webhook/{task['id']}")
    contents = os.urandom(3_000_001)
    assert (await client.post(task["callback_url"], json=completed(contents))).status_code == 200
    assert (await client.post(task["callback_url"], json=completed(b"other"))).status_code == 409
    ended = await engine.ended(first)
    assert engine.runtime.storage.path(ended.artifacts[0].key).read_bytes() == contents
    failed = {"status": "FAILED", "error": "out of memory"}
    assert (await client.post(other["callback_url"], json=failed)).status_code == 200
    ended = await engine.ended(second)
    assert (ended.status, ended.jobs[0].error.message) == ("failed", "out of memory")


async def test_the_job_of_a_dead_worker_is_handed_out_again_and_its_late_result_is_refused(server):
    engine, client = server
    execution_id = await engine.submit(plan())
    engine.runtime.settings.polled_worker_lease /= 1800  # 1 s
    task = await take(client)
    async with asyncio.timeout(60):
        while (response := await client.get("/api/worker/task")).status_code == 204:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    again = response.json()
    assert again["id"] == task["id"].rpartition("-")[0] + "-2"
    assert (await client.post(task["callback_url"], json=completed(b"late"))).status_code == 409
    assert (await client.post(task["lease"]["url"])).status_code == 409
    renewed = (await client.post(again["lease"]["url"])).json()
    assert renewed == {"seconds": 60.0, "cancelled": False}
    await engine.cancel(execution_id)
    assert (await client.post(again["lease"]["url"])).json()["cancelled"] is True
    await client.post(again["callback_url"], json={"status": "FAILED"})
    assert (await engine.ended(execution_id)).status == "cancelled"


async def test_the_routes_need_the_key_and_invalid_results_change_nothing(server):
    engine, client = server
    execution_id = await engine.submit(plan())
    task = await take(client)
    none = {"Authorization": ""}
    for method, path in (("GET", "/api/worker/task"), ("POST", task["callback_url"]), ("POST", task["lease"]["url"])):
        assert (await client.request(method, path, headers=none)).status_code == 401
    for body in (
        b"<html>",
        b"[]",
        b'{"status": "DONE"}',
        b'{"status": "COMPLETED", "files": []}',
        b'{"status": "COMPLETED", "files": [{"data": "?"}]}',
    ):
        response = await client.post(task["callback_url"], content=body)
        assert 400 <= response.status_code < 500, body
    assert (await client.post("/api/i2v-webhook/none", json={})).status_code == 404
    assert (await engine.job(execution_id, "video")).status == "running"


async def test_a_job_that_no_polled_worker_can_run_fails_with_its_problems(server, monkeypatch):
    engine, client = server
    # As if the job had been stored by a version that does not check graphs.
    monkeypatch.setattr(ComfyUIParams, "_problems", lambda *_: [])
    execution_id = await engine.submit(plan({"1": {"class_type": "SaveImageWebsocket", "inputs": {}}}))
    assert (await client.get("/api/worker/task")).status_code == 204
    assert "SaveImageWebsocket" in str((await engine.ended(execution_id)).jobs[0].error)


async def test_the_image_is_named_as_a_polled_worker_uploads_it(server):
    engine, client = server
    await engine.submit(plan(LOAD, files={"1.image": "https://example.com/photo.jpg"}))
    task = await take(client)
    assert task["workflow"]["1"]["inputs"]["image"] == f"{task['id']}.png"
    assert task["original_image_url"] == "https://example.com/photo.jpg"
