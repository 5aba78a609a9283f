"""The road of a `video-generation` job: a Node producer, ComfyUI, FFmpeg, and a published film."""

import asyncio
import json
from uuid import UUID

import pytest
from tests.support.node import NodeProgram

from callsheet.fakes.comfyui import running_comfyui
from callsheet.intake.bullmq.intake import BullMQIntake
from callsheet.intake.runner import IntakeRunner
from callsheet.media.probing.probe import probe
from callsheet.operation_api.catalog import discover
from callsheet.testing.engine import running_engine

QUEUE = "video-generation"
WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 320, "height": 180, "batch_size": 12, "color": 3368652}},
    "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 12.0}},
    "3": {
        "class_type": "SaveVideo",
        "inputs": {"video": ["2", 0], "filename_prefix": "{{caption}}", "format": "mp4", "codec": "h264"},
    },
}
DATA = {"caption": "lighthouse", "script": "Waves, then silence.", "persona": {"tone": "calm"}, "duration": 6}


@pytest.fixture
async def film(settings, redis_server, tmp_path):
    """Run an engine, ComfyUI and the intake; yield a producer and the settings."""
    async with running_comfyui(tmp_path / "comfyui") as comfyui:
        settings = settings.model_copy(
            update={
                "redis_port": redis_server.port,
                "redis_host": "127.0.0.1",
                "comfyui_api_url": comfyui.url,
                "comfyui_video_workflow_json": json.dumps(WORKFLOW),
                "ffmpeg_aspect_ratio": "9:16",
            }
        )
        operations = discover().operations()
        async with running_engine(operations, settings=settings) as engine:
            runner = IntakeRunner(BullMQIntake, engine.runtime)
            running = asyncio.create_task(runner.run())
            node = await asyncio.to_thread(NodeProgram, "bullmq.mjs", PORT=str(redis_server.port), VERSION="6")
            await asyncio.to_thread(node.ask, "listen", queue=QUEUE)
            yield node, engine
            await asyncio.to_thread(node.close)
            runner.stop()
            await running


async def test_the_film_is_published_under_the_id_of_the_job(film):
    node, engine = film
    ask = asyncio.to_thread
    id = await ask(node.ask, "add", queue=QUEUE, data=DATA)
    finished = await ask(node.ask, "finished", queue=QUEUE, id=id, timeout=90_000)
    result = finished["result"]
    assert result["key"] == f"video-generation/{id}/final.mp4"
    assert "/files/" in result["url"]
    path = engine.runtime.storage.path(result["key"])
    info = await probe(path)
    assert abs(info.width * 16 - info.height * 9) <= 32
    execution = await engine.execution(UUID(result["executionId"]))
    assert execution.metadata["intake"]["messageId"] == id
    assert {artifact.name.partition("_")[0] for artifact in execution.artifacts} == {"lighthouse", "finished.mp4"}


async def test_the_id_of_the_product_is_used_and_wrapped_fields_are_read(film):
    node, _ = film
    data = {"jobId": "order-7", "payload": {"caption": "sea", "script": "…", "durationSec": 3}}
    id = await asyncio.to_thread(node.ask, "add", queue=QUEUE, data=data)
    finished = await asyncio.to_thread(node.ask, "finished", queue=QUEUE, id=id, timeout=90_000)
    assert finished["result"]["key"] == "video-generation/order-7/final.mp4"


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ({"caption": "", "duration": -1}, ["caption", "script", "duration"]),
        ({**DATA, "jobId": "../../etc"}, ["not a valid storage key"]),
    ],
)
async def test_invalid_data_fails_with_all_problems(film, data, problems):
    node, _ = film
    id = await asyncio.to_thread(node.ask, "add", queue=QUEUE, data=data, opts={"attempts": 3})
    finished = await asyncio.to_thread(node.ask, "finished", queue=QUEUE, id=id, timeout=90_000)
    job = await asyncio.to_thread(node.ask, "job", queue=QUEUE, id=id)
    assert job["attemptsMade"] == 1
    for problem in problems:
        assert problem in finished["failed"] + "".join(job["stacktrace"])
