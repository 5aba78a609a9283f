"""A worker that is killed while operations run with child processes, servers and endpoints: each job ends once."""

import asyncio
import base64
import io
import signal
import sys
import wave
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import av
import numpy as np
import psutil
import pytest
import yaml
from PIL import Image
from processes import WORKER
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from callsheet.engine.jobs.approvals import Decision, decide_approval
from callsheet.fakes.comfyui import running_comfyui
from callsheet.fakes.providers.server import serve_app
from callsheet.fakes.providers.task_script import sample_video
from callsheet.operation_api.catalog import discover
from callsheet.testing.waiters import until
from support.tiny_models import write_models

JOBS = ("command", "http", "speech", "talk", "upscale", "fatigue", "review", "action")
KILLED = tuple(name for name in JOBS if name not in ("review", "action"))
"""An action takes no time: it may have ended before the worker is killed."""
CHILDREN = {"speech": "synthesizer", "upscale": "enhancement"}
"""Part of the command line of the child process of a job."""
PROGRAM = """
import json, os, signal, sys
key = json.load(sys.stdin)["idempotencyKey"]
with open(sys.argv[1], "a+") as runs:
    runs.seek(0)
    again = bool(runs.read())
    runs.write(f"{os.getpid()} {key}\\n")
if not again:
    signal.pause()
print(json.dumps({"result": {"key": key}}))
"""


@pytest.fixture
def catalog():
    return discover()


@pytest.fixture
def settings(settings, tmp_path):
    return settings.model_copy(
        update={
            "steps_file": tmp_path / "steps.yaml",
            "models_dir": write_models(tmp_path / "models"),
            "allow_private_addresses": True,
        }
    )


def data_uri(media_type, data):
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def tone(seconds=1):
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, 8000, 0, "NONE", ""))
        target.writeframes((8000 * np.sin(np.arange(8000 * seconds) / 5)).astype("<i2").tobytes())
    return data_uri("audio/wav", file.getvalue())


def picture():
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(file, "png")
    return data_uri("image/png", file.getvalue())


class Endpoint:
    """An endpoint that never answers its first request."""

    def __init__(self):
        self.keys = []
        self.app = Starlette(routes=[Route("/", self.handle, methods=["POST"])])

    async def handle(self, request):
        self.keys.append(request.headers["idempotency-key"])
        if len(self.keys) == 1:
            await asyncio.Event().wait()
        return JSONResponse({"result": {"done": True}})


@asynccontextmanager
async def ads_locked(database):
    """Keep the readers of the metrics of ads waiting."""
    async with database.transaction() as connection:
        await connection.execute("LOCK TABLE ad_metrics IN ACCESS EXCLUSIVE MODE")
        yield


def children_of(worker, text):
    running = psutil.Process(worker.process.pid).children(recursive=True)
    found = [child.cmdline() for child in running]
    return [
        child
        for child, line in zip(running, found, strict=True)
        # The launcher becomes the program, and only then ends with its parent.
        if any(text in part for part in line) and not any("launcher.py" in part for part in line)
    ]


async def stop_child(worker, text):
    """Stop the child process of a job in the middle of its work, and return it."""
    await until(lambda: children_of(worker, text), timeout=60)
    child = children_of(worker, text)[0]
    child.send_signal(signal.SIGSTOP)
    return child


async def approve(engine, execution_id):
    """Say yes to the question of an execution."""

    async def asked():
        events = await engine.events(execution_id, job="review")
        return next((event for event in events if event.type == "job.approval_requested"), None)

    event = await until(asked, timeout=60)
    await decide_approval(engine.runtime.database, UUID(event.data["approval"]), Decision(True, "Mia", None, "api"))


async def ads_wait(database):
    """Wait until an operation waits for the metrics."""

    async def waits():
        async with database.connection() as connection:
            return await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'ad_metrics'::regclass)"
            )

    await until(waits, timeout=60)


async def test_operations_of_a_killed_worker_end_once_and_leave_no_process(engine, settings, start, tmp_path):
    runs, endpoint = tmp_path / "runs", Endpoint()
    async with (
        serve_app(endpoint.app) as url,
        running_comfyui(tmp_path / "comfyui") as comfyui,
    ):
        comfyui.executor.history_delay = 3
        (tmp_path / "steps.yaml").write_text(
            yaml.safe_dump(
                {
                    "commands": [{"name": "waits", "command": [sys.executable, "-c", PROGRAM, str(runs)]}],
                    "endpoints": [{"name": "waits", "url": f"{url}/"}],
                }
            )
        )
        settings = settings.model_copy(update={"comfyui_api_url": comfyui.url})
        small = {"width": 96, "height": 64, "fps": 10, "image": picture(), "audio": tone()}
        video = {"src": data_uri("video/mp4", sample_video().data), "model": "double", "preset": "ultrafast"}
        params = {
            "command": ("command", {"command": "waits"}),
            "http": ("http", {"endpoint": "waits"}),
            "speech": ("speech", {"text": "Dawn breaks over the harbor."}),
            "talk": ("talk", small),
            "upscale": ("upscale-parts", {"video": video, "parts": [0]}),
            "fatigue": ("monitor-fatigue", {"tenantId": "tenant_1"}),
            "review": ("approve", {"title": "Pause?"}),
            "action": (
                "ad-action",
                {
                    "action": "pause",
                    "ads": [{"tenantId": "tenant_1", "adId": "red"}],
                    "approval": "${review}",
                    "url": f"{url}/actions",
                },
            ),
        }
        plan = {"jobs": [{"id": name, "operation": op, "params": each} for name, (op, each) in params.items()]}
        program = [*WORKER, "callsheet.operations.probe"]
        async with ads_locked(engine.runtime.database):
            first = start(settings, "first", program=program).ready()
            execution_id = await engine.submit(plan)
            await approve(engine, execution_id)
            stopped = await asyncio.gather(*(stop_child(first, text) for text in CHILDREN.values()))
            await until(lambda: runs.exists() and runs.read_text() and endpoint.keys and comfyui.accepted, timeout=60)
            await ads_wait(engine.runtime.database)
            program_pid = int(runs.read_text().split()[0])
            left = [*stopped, psutil.Process(program_pid), *psutil.Process(first.process.pid).children(recursive=True)]

            first.kill()

        start(settings, "second", program=program).ready()
        execution = await engine.ended(execution_id, timeout=120)

    assert execution.status == "succeeded", [job.error for job in execution.jobs]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []
    for name in KILLED:
        types = [event.type for event in await engine.events(execution_id, job=name)]
        assert (types.count("job.running"), types.count("job.succeeded")) == (2, 1), name
    # The same work has the same key, and a prompt is sent once.
    assert len(set(endpoint.keys)) == 1 and len(endpoint.keys) == 2
    assert len({line.split()[1] for line in runs.read_text().splitlines()}) == 1
    assert len(comfyui.accepted) == 1
    speech = [artifact.name for artifact in execution.artifacts if artifact.job_id == "speech"]
    assert sorted(speech) == ["captions.vtt", "speech.wav"]
    assert execution.jobs[JOBS.index("upscale")].result["made"] == 1
    async with engine.runtime.database.connection() as connection:
        webhooks = [row["id"] for row in await connection.fetch("SELECT id FROM outbox")]
    assert webhooks == [UUID(execution.jobs[JOBS.index("action")].result["webhookId"])]


async def test_a_part_of_an_upscale_on_comfyui_survives_its_worker_and_is_sent_once(engine, settings, start, tmp_path):
    async with running_comfyui(tmp_path / "comfyui") as comfyui:
        comfyui.executor.history_delay = 3
        settings = settings.model_copy(
            update={"comfyui_api_url": comfyui.url, "comfyui_poll_interval": timedelta(seconds=0.2)}
        )
        video = {"src": data_uri("video/mp4", sample_video().data), "engine": "comfyui", "partFrames": 8}
        params = {**video, "model": "RealESRGAN_x2plus.pth", "preset": "ultrafast"}
        program = [*WORKER, "callsheet.operations.probe"]
        first = start(settings, "first", program=program).ready()
        execution_id = await engine.submit({"jobs": [{"id": "up", "operation": "upscale", "params": params}]})
        await until(lambda: comfyui.accepted, timeout=60)
        left = psutil.Process(first.process.pid).children(recursive=True)

        first.kill()

        start(settings, "second", program=program).ready()
        execution = await engine.ended(execution_id, timeout=120)

    assert execution.status == "succeeded", [job.error for job in execution.jobs]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []
    result = next(job for job in execution.jobs if job.job_id == "up").result
    parts = [job for job in execution.jobs if job.job_id.startswith("up/")]
    assert len(parts) == result["parts"] > 1
    assert len(comfyui.accepted) == len(comfyui.prompt_requests) == len(parts)
    killed = 0
    for part in parts:
        types = [event.type for event in await engine.events(execution_id, job=part.job_id)]
        killed += types.count("job.running") == 2
        assert types.count("job.running") <= 2 and types.count("job.succeeded") == 1, part.job_id
    assert killed >= 1
    with av.open(io.BytesIO(sample_video().data)) as source:
        assert result["frames"] == sum(1 for _ in source.decode(video=0))
