"""The intake `polled-api`: tasks with a workflow and an image, ComfyUI, and callbacks."""

import asyncio
import base64
import hashlib
import io
import time
from contextlib import asynccontextmanager

import httpx2
import pytest
from PIL import Image
from tests.support.task_api import TaskAPI
from typer.testing import CliRunner

from callsheet.cli.app import app
from callsheet.fakes.comfyui import running_comfyui
from callsheet.intake.polled_api.intake import PolledAPIIntake
from callsheet.intake.runner import IntakeRunner
from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL

WORKFLOW = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "video-id.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "film"}},
}


@pytest.fixture
def api():
    api = TaskAPI(lease=3600)
    yield api
    api.stop()


@pytest.fixture
async def comfyui(tmp_path):
    async with running_comfyui(tmp_path / "comfyui") as server:
        yield server


@pytest.fixture
async def engine(settings, api, comfyui):
    settings = settings.model_copy(
        update={
            "polled_api_url": api.url,
            "polled_api_interval": settings.polled_api_interval / 20,
            "comfyui_api_url": comfyui.url,
            "allow_private_addresses": True,
            "allow_http": True,
        }
    )
    async with running_engine(discover().operations(), settings=settings) as engine:
        runner = IntakeRunner(PolledAPIIntake, engine.runtime)
        running = asyncio.create_task(runner.run())
        yield engine
        runner.stop()
        await running


def jpeg():
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(file, "JPEG")
    return file.getvalue()


def task(api, id="video-id", **fields):
    return {
        "id": id,
        "job_id": f"local-{id}",
        "original_image_url": f"{api.url}/photo.png",
        "prompt": "A beautiful video",
        "callback_url": f"{api.url}/api/i2v-webhook/{id}",
        "workflow": WORKFLOW,
        **fields,
    }


async def results(api, id="video-id", count=1):
    async with asyncio.timeout(90):
        while len(api.results.get(id, [])) < count:  # noqa: ASYNC110 - the server runs in a thread
            await asyncio.sleep(0.05)
    return api.results[id]


async def test_the_image_has_its_real_type_and_the_files_arrive_as_base64(api, engine, tmp_path):
    api.files["/photo.png"] = ("image/png", jpeg())
    api.add(task(api))
    (result,) = await results(api)
    assert result["status"] == "COMPLETED"
    (file,) = result["files"]
    contents = base64.b64decode(file["data"], validate=True)
    assert (file["type"], file["media_type"], file["size"]) == ("base64", "image/png", len(contents))
    assert Image.open(io.BytesIO(contents)).size == (64, 48)
    uploaded = [path.suffix for path in (tmp_path / "comfyui").rglob("input/**/*") if path.is_file()]
    assert ".jpg" in uploaded
    assert ".png" not in uploaded


async def test_a_failed_task_reports_its_error(api, engine):
    api.add(task(api))
    (result,) = await results(api)
    assert (result["status"], result["files"]) == ("FAILED", [])
    assert "photo.png" in result["error"]
    assert result["error_details"]["jobs"][0]["operation"] == "comfyui"


async def test_all_problems_of_a_task_are_reported(api, engine):
    api.add(task(api, workflow="none", original_image_url=7))
    (result,) = await results(api)
    assert result["status"] == "FAILED"
    assert {each["path"] for each in result["error_details"]["problems"]} == {"workflow", "original_image_url"}


async def test_a_callback_that_is_down_is_waited_for_and_no_task_is_taken_meanwhile(api, engine):
    api.files["/photo.png"] = ("image/png", jpeg())
    api.callback_weather = [503, 500, 429, 401]
    api.add(task(api))
    api.add(
        task(
            api,
            "second",
            original_image_url=None,
            workflow={
                **WORKFLOW,
                "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            },
        )
    )
    (result,) = await results(api)
    assert result["status"] == "COMPLETED"
    (second,) = await results(api, "second")
    assert second["status"] == "COMPLETED"
    assert api.callback_weather == []


@asynccontextmanager
async def polling(settings, api, **changes):
    """An intake whose tasks are plans of small operations."""
    changes |= {
        "polled_api_url": api.url,
        "polled_api_interval": settings.polled_api_interval / 20,
        "polled_api_mapping": "plan",
    }
    async with running_engine(ALL, settings=settings.model_copy(update=changes)) as engine:
        runner = IntakeRunner(PolledAPIIntake, engine.runtime)
        running = asyncio.create_task(runner.run())
        yield engine
        runner.stop()
        await running


def written(id, text="hello"):
    return {"id": id, "plan": {"jobs": [{"id": "a", "operation": "write", "params": {"text": text}}]}}


async def test_files_in_a_bucket_are_urls_that_open_without_a_key(api, settings, s3_server):
    bucket = s3_server.settings()
    names = ("s3_bucket", "s3_endpoint", "s3_access_key", "s3_secret_key")
    async with polling(settings, api, **{name: getattr(bucket, name) for name in names}):
        api.add(written("in-a-bucket"))
        (result,) = await results(api, "in-a-bucket")
    (file,) = result["files"]
    async with httpx2.AsyncClient(trust_env=False) as anyone:
        response = await anyone.get(file["url"])
    assert (result["status"], file["type"], file["filename"]) == ("COMPLETED", "s3_url", "note.txt")
    assert file["data"] == file["url"] and file["url"].startswith(s3_server.endpoint)
    assert (response.text, hashlib.sha256(response.content).hexdigest()) == ("hello", file["sha256"])


async def test_a_receiver_that_hangs_is_given_up_and_gets_the_result_later(api, settings, monkeypatch):
    monkeypatch.setattr("callsheet.intake.polled_api.client._TIMEOUT", httpx2.Timeout(0.5))
    api.callback_weather = [0, 0]
    async with polling(settings, api) as engine:
        api.add(written("slow"))
        api.add(written("next"))
        (slow,) = await results(api, "slow")
        (following,) = await results(api, "next")
        async with engine.runtime.database.connection() as connection:
            executions = await connection.fetchval("SELECT count(*) FROM executions")
    assert (slow["status"], following["status"], executions) == ("COMPLETED", "COMPLETED", 2)
    assert api.callback_weather == []
    assert len(api.results["slow"]) == 1


async def test_a_refused_result_is_given_up_after_the_limit(api, engine):
    api.callback_weather = [422] * 3
    api.add(task(api, "refused", workflow={}))
    api.add(task(api, "next", workflow={}))
    await results(api, "next")
    assert "refused" not in api.results
    assert api.callback_weather == []


async def test_a_task_that_is_handed_out_again_after_its_end_runs_again(api, engine):
    api.add(task(api, workflow={"1": {"class_type": "NoSuchNode", "inputs": {}}}))
    await results(api)
    first = api.results.pop("video-id")[0]
    api.files["/photo.png"] = ("image/png", jpeg())
    api.tasks["video-id"] = task(api)
    api.deliver_again("video-id")
    assert first["status"] == "FAILED"
    assert (await results(api))[0]["status"] == "COMPLETED"


async def test_an_idle_api_is_asked_once_per_interval(api, engine):
    began = time.monotonic()
    async with asyncio.timeout(30):
        while len(api.polls) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert time.monotonic() - began >= 0.7


def test_settings_have_the_names_of_the_polled_worker(monkeypatch):
    for name, value in {
        "GMANIMATO_API_URL": "http://api.example.com/",
        "WORKER_POLL_INTERVAL": "3",
        "WORKER_MAX_RETRIES": "7",
        "COMFY_HOST": "gpu:8188",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert settings.polled_api_url == "http://api.example.com/"
    assert settings.polled_api_interval.total_seconds() == 3
    assert settings.polled_api_max_retries == 7
    assert settings.comfyui_api_url == "gpu:8188"


def test_options_of_polled_api_are_refused_for_another_intake():
    ran = CliRunner().invoke(app, ["intake", "bullmq", "--api-url", "http://localhost"])
    assert ran.exit_code == 2
    assert "are options of polled-api" in " ".join(ran.output.replace("│", " ").split())
