"""A server whose pages all have something to show: plans in every status, on real media and on fakes of providers.

    async with running_scene(settings) as scene:
        await page.goto(scene.base_url + scene.paths["execution with captions"])

Its data is made by the product itself. The screenshots of the docs and the tests of all pages use it.
"""

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from pydantic import SecretStr
from redis.asyncio import Redis

from callsheet.api.app import create_app
from callsheet.api.server import make_server
from callsheet.domain.ids import new_id
from callsheet.engine.retention.disk import measure_disk
from callsheet.engine.schedules.file import store_defined_schedules
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.fakes.providers.fal import FakeFal
from callsheet.fakes.providers.luma import FakeLuma
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Failed, Queued, Running, Succeeded
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.intake.redis_streams.intake import RedisStreamsIntake
from callsheet.intake.runner import IntakeRunner
from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings
from callsheet.testing.engine import Engine
from callsheet.wiring import open_runtime

from .minilm import WINNERS, minilm_folder
from .redis_server import RedisServer

KEY = "scene-of-the-console-0123456789"
USER, PASSWORD = "ada", "correct horse battery"
_LANES = {"render": 2, "transcode": 1, "preview": 1, "speech": 1, "generate": 2, "comfyui": 1, "default": 4, "light": 4}

HARBOUR: dict[str, Any] = {
    "name": "Harbour at dawn",
    "jobs": [
        {
            "id": "voice",
            "operation": "speech",
            "params": {"text": "Dawn breaks over the quiet harbor. The boats are still asleep."},
        },
        {
            "id": "film",
            "operation": "render",
            "params": {
                "output": {"width": 360, "height": 640, "fps": 25},
                "scenes": [
                    {"color": "#17324d", "duration": 2.5, "title": {"text": "Harbour", "size": 64}},
                    {"color": "#b5532a", "duration": 2.5, "title": {"text": "at dawn", "size": 64}},
                ],
                "audioClips": [{"src": "${voice.audio}"}],
            },
        },
        {
            "id": "pictures",
            "operation": "preview",
            "params": {"src": "${film.video}", "count": 3, "poster": True, "waveform": True},
        },
        {"id": "web", "operation": "transcode", "params": {"src": "${film.video}", "resolution": "360p"}},
        {"id": "small", "operation": "transcode", "params": {"src": "${film.video}", "format": "webm"}},
    ],
}
FOX: dict[str, Any] = {
    "name": "A fox in the snow",
    "jobs": [
        {
            "id": "still",
            "operation": "generate",
            "params": {"modelId": "fal-ai/flux/dev", "prompt": "A red fox on a snowy clearing, golden light"},
        },
        {
            "id": "fox",
            "operation": "generate",
            "params": {
                "modelId": "bytedance/seedance-1-pro",
                "provider": "fal",
                "prompt": "The fox looks up and walks away",
                "duration": 5,
            },
        },
        {"id": "small", "operation": "transcode", "params": {"src": "${fox.videos[0]}", "resolution": "360p"}},
    ],
}
REFUSED: dict[str, Any] = {
    "name": "Autumn trailer",
    "jobs": [
        {
            "id": "clip",
            "operation": "generate",
            "params": {"modelId": "bytedance/seedance-1-pro", "provider": "replicate", "prompt": "Leaves in the wind"},
        },
        {"id": "web", "operation": "transcode", "params": {"src": "${clip.videos[0]}", "resolution": "360p"}},
    ],
}
REVIEW: dict[str, Any] = {
    "name": "Summer sale",
    "jobs": [
        {
            "id": "trailer",
            "operation": "render",
            "params": {
                "output": {"width": 360, "height": 640, "fps": 12},
                "scenes": [{"color": "#7a4fb5", "duration": 1, "title": {"text": "50 % off"}}],
            },
        },
        {
            "id": "review",
            "operation": "approve",
            "params": {
                "title": "Publish this trailer?",
                "text": "It goes to all channels on Monday.",
                "previews": ["${trailer.video}"],
                "deadline": "3d",
                "default": "fail",
            },
        },
        {
            "id": "web",
            "operation": "transcode",
            "dependsOn": ["review"],
            "params": {"src": "${trailer.video}", "resolution": "360p"},
        },
    ],
}
SAMPLING: dict[str, Any] = {
    "name": "Paper boats",
    "jobs": [
        {
            "id": "draw",
            "operation": "comfyui",
            "params": {
                "graph": {
                    "1": {
                        "class_type": "EmptyImage",
                        "inputs": {"width": 512, "height": 288, "batch_size": 1, "color": 3368652},
                    },
                    "2": {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": 30}},
                    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "boats"}},
                }
            },
        }
    ],
}
WAITING: dict[str, Any] = {
    "name": "City at night",
    "jobs": [
        {
            "id": "clip",
            "operation": "generate",
            "params": {"modelId": "luma/ray-3.2", "provider": "luma", "prompt": "Neon in the rain", "duration": 5},
        },
    ],
}
CARD = {
    "name": "${inputs.title}",
    "description": "A title card of some seconds, for the start of a film.",
    "inputs": {
        "title": {"maxLength": 40, "description": "What the card says"},
        "seconds": {"type": "number", "default": 1, "minimum": 1, "maximum": 9, "unit": "s"},
        "background": {"type": "file", "description": "A picture behind the title"},
    },
    "jobs": [
        {
            "id": "card",
            "operation": "render",
            "params": {
                "output": {"width": 320, "height": 180, "fps": 12},
                "scenes": [
                    {
                        "src": "${inputs.background}",
                        "duration": "${inputs.seconds}",
                        "title": {"text": "${inputs.title}"},
                    }
                ],
            },
        }
    ],
}
"""A stored plan."""


@dataclass
class Scene:
    """A running server. `paths`: what a page shows → its path."""

    base_url: str
    client: httpx2.AsyncClient
    engine: Engine
    app: Any
    paths: dict[str, str] = field(default_factory=dict)
    executions: dict[str, UUID] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)

    async def post(self, path: str, body: Any = None) -> Any:
        """Send JSON; return the answer."""
        answer = await self.client.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def submit(self, plan: dict[str, Any], **fields: Any) -> UUID:
        """Submit a plan."""
        answer = await self.post("/api/executions", {"executionPlan": plan, **fields})
        found = UUID(answer["executionId"])
        self.executions[plan["name"]] = found
        return found


@asynccontextmanager
async def running_scene(settings: Settings) -> AsyncIterator[Scene]:
    """Serve the pages until the block ends. It takes about 20 seconds to make their data."""
    folder = settings.data_dir / "scene"
    async with AsyncExitStack() as stack:
        comfyui = await stack.enter_async_context(running_comfyui(folder / "comfyui"))
        redis = RedisServer(folder / "redis")
        stack.callback(redis.close)
        fakes = [
            await stack.enter_async_context(fake)
            for fake in (FakeFal(pace=0.2), FakeReplicate(pace=0.2), FakeLuma(pace=3600))
        ]
        scene = await stack.enter_async_context(_served(_settings(settings, folder, comfyui, redis), fakes))
        intake = IntakeRunner(RedisStreamsIntake, scene.engine.runtime)
        serving = asyncio.create_task(intake.run())
        stack.push_async_callback(_stopped, intake, serving)
        await _fill(scene, stack, fakes, comfyui, redis)
        yield scene


def _settings(settings: Settings, folder: Path, comfyui: FakeComfyUI, redis: RedisServer) -> Settings:
    return settings.model_copy(
        update={
            "api_key": SecretStr(KEY),
            "port": 0,
            "allow_private_addresses": True,
            "comfyui_api_url": comfyui.url,
            "embedding_folder": minilm_folder(folder / "minilm"),
            "redis_host": "127.0.0.1",
            "redis_port": redis.port,
            "grace_period": timedelta(seconds=1),
        }
    )


@asynccontextmanager
async def _served(settings: Settings, fakes: list[Any]) -> AsyncIterator[Scene]:
    listener = socket.create_server((settings.host, 0))
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    provider_settings = [fake.provider_settings() for fake in fakes]
    async with open_runtime(settings, discover(), provider_settings=provider_settings) as runtime:
        app = create_app(runtime)
        server = make_server(app, settings)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        sending = asyncio.create_task(runtime.webhook_sender().run())
        base_url = f"http://127.0.0.1:{settings.port}"
        headers = {"Authorization": f"Bearer {KEY}"}
        engine = Engine(runtime)
        try:
            async with httpx2.AsyncClient(base_url=base_url, trust_env=False, timeout=60, headers=headers) as client:
                await _ready(client)
                yield Scene(base_url, client, engine, app)
            for worker in list(engine.workers):
                await engine.kill_worker(worker)
        finally:
            sending.cancel()
            server.stop()
            await asyncio.gather(sending, serving, return_exceptions=True)


async def _ready(client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await client.get("/healthz")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


async def _stopped(intake: IntakeRunner, serving: "asyncio.Task[None]") -> None:
    intake.stop()
    await asyncio.wait({serving}, timeout=10)
    serving.cancel()


async def _fill(
    scene: Scene, stack: AsyncExitStack, fakes: list[Any], comfyui: FakeComfyUI, redis: RedisServer
) -> None:
    fal, replicate, luma = fakes
    fal.script(Queued(), Running(0.5), Succeeded())
    replicate.script(Queued(), Failed("The prompt was refused by the safety filter", "content"))
    luma.script(Queued(), Running(0.3), Succeeded())
    await scene.post("/api/users", {"name": USER, "password": PASSWORD, "scopes": ["admin"]})
    await _add_people_and_keys(scene)
    await _add_endpoints(scene, stack)
    await scene.engine.start_worker(_LANES, name="studio-1")
    await scene.post("/api/plans", {"name": "title-card", "plan": CARD})
    await _run_plans(scene)
    picture = f"artifact:{(await _artifacts(scene, 'Harbour at dawn', 'pictures'))[0]}"
    batch = {"inputs": [{"title": title, "background": picture} for title in ("Spring", "Summer", "Autumn")]}
    answer = await scene.post("/api/plans/title-card/batches", batch)
    scene.paths["batch"] = f"/executions?batch={answer['id']}"
    await _add_schedule(scene, picture)
    action = await scene.post("/api/bulk-actions", {"action": "retry", "filter": {"search": "Winter trailer"}})
    scene.paths["bulk action"] = f"/console/bulk-actions/{action['id']}"
    scene.paths["queue"] = "/console/queues/preview/jobs"
    scene.paths["new bulk action"] = "/console/bulk-actions/new?action=retry&status=failed"
    await _take_message(redis, picture)
    await _wait_for_states(scene, comfyui)
    await _leave_files(scene)
    await _find_paths(scene)


async def _add_people_and_keys(scene: Scene) -> None:
    await scene.post("/api/users", {"name": "grace", "password": PASSWORD, "scopes": ["read", "operate"]})
    shop = {"name": "storefront", "rateLimit": 600, "maxRunning": 20, "monthlyBudget": 250}
    key = (await scene.post("/api/keys", shop))["secret"]
    answer = await scene.client.get("/api/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    await scene.post("/api/keys", {"name": "reports", "scopes": ["read"]})
    old = await scene.post("/api/keys", {"name": "old shop", "scopes": ["submit"]})
    assert (await scene.client.delete(f"/api/keys/{old['id']}")).status_code == 204


async def _add_endpoints(scene: Scene, stack: AsyncExitStack) -> None:
    receiver = await stack.enter_async_context(open_webhook_receiver())
    events = ["execution.succeeded", "execution.failed"]
    good = {"url": receiver.url, "description": "The shop", "eventTypes": events}
    endpoint = await scene.post("/api/webhook-endpoints", good)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        closed_port = {"url": f"http://127.0.0.1:{closed.getsockname()[1]}/hook", "description": "The old shop"}
    await scene.post("/api/webhook-endpoints", {**closed_port, "eventTypes": events})
    scene.paths["deliveries of an endpoint"] = f"/console/webhooks?endpoint={endpoint['id']}"


async def _add_schedule(scene: Scene, picture: str) -> None:
    schedule = {
        "description": "The card of the week",
        "cron": "30 6 * * 1",
        "timeZone": "Europe/Berlin",
        "plan": "title-card",
        "inputs": {"title": "This week", "background": picture},
    }
    answer = await scene.client.put("/api/schedules/weekly-card", json=schedule)
    assert answer.status_code == 200, answer.text
    await scene.post("/api/schedules/weekly-card/run")
    scene.paths["schedule"] = "/console/schedules/weekly-card"


async def _run_plans(scene: Scene) -> None:
    """Submit all plans; wait for those that end."""
    ending = [await scene.submit(plan) for plan in (HARBOUR, FOX, REFUSED)]
    await scene.submit(REVIEW, metadata={"campaign": "summer"})
    await scene.submit(SAMPLING)
    await scene.submit(WAITING)
    winners = {"tenantId": "default", "creatives": WINNERS["creatives"][:12]}
    ending.append(
        await scene.submit({"name": "Index ads", "jobs": [_job("index", "index-winners", winners)]}),
    )
    for execution_id in ending:
        await scene.engine.ended(execution_id, timeout=240)
    # No worker of the scene serves this queue, and the next one is paused.
    source = f"artifact:{(await _artifacts(scene, 'Harbour at dawn', 'film'))[0]}"
    await scene.submit({"name": "Large poster", "jobs": [_job("large", "upscale", {"src": source})]})
    cancelled = await scene.submit({"name": "Old cut", "jobs": [_job("large", "upscale", {"src": source})]})
    await scene.post(f"/api/executions/{cancelled}/cancel")
    answer = await scene.client.patch("/api/queues/preview", json={"paused": True})
    assert answer.status_code == 200, answer.text
    await scene.submit({"name": "Contact sheet", "jobs": [_job("sheet", "preview", {"src": source, "count": 2})]})


def _job(name: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "operation": operation, "params": params}


async def _artifacts(scene: Scene, plan: str, job: str) -> list[str]:
    execution = (await scene.client.get(f"/api/executions/{scene.executions[plan]}")).json()
    assert execution["status"] == "succeeded", json.dumps(execution["jobs"], indent=1)[:3000]
    return [file["artifactId"] for file in execution["artifacts"] if file["jobId"] == job]


async def _take_message(redis: RedisServer, source: str) -> None:
    client = Redis(port=redis.port, decode_responses=True)
    graph = {"jobId": "order-17", "nodes": [{"id": "a", "plane": "python", "task": "probe", "params": {"src": source}}]}
    await client.xadd("process:data", {"jobId": "order-17", "payload": json.dumps(graph)})
    await client.aclose()


async def _wait_for_states(scene: Scene, comfyui: FakeComfyUI) -> None:
    for _ in range(11):
        comfyui.executor.step_permits.release()
    await scene.engine.wait(scene.executions["Summer sale"], "job.waiting", job="review", timeout=60)
    await scene.engine.wait(scene.executions["Paper boats"], "job.progress", timeout=60)
    await scene.engine.wait(scene.executions["City at night"], "job.waiting", timeout=60)
    async with asyncio.timeout(60):
        while len((await scene.client.get("/api/executions?status=succeeded")).json()["executions"]) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        while len((await scene.client.get("/api/webhook-deliveries?status=delivered")).json()["deliveries"]) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _leave_files(scene: Scene) -> None:
    """Leave what a clean-up finds: temporary files of a process that is gone, and stored files that nothing names."""
    runtime = scene.engine.runtime
    long_ago = time.time() - 12 * 86400
    left = runtime.settings.scratch_dir / "left"
    left.mkdir(parents=True)
    part = left / "part.mp4"
    part.write_bytes(bytes(48_000_000))
    for name in ("harbour-at-noon.mp4", "fox-take-2.mp4"):
        await runtime.storage.put(f"render/{new_id()}/1/{name}", part)
    stored = [
        path for path in runtime.settings.files_dir.rglob("*") if path.name in ("harbour-at-noon.mp4", "fox-take-2.mp4")
    ]
    for path in (part, left, *stored):
        os.utime(path, (long_ago, long_ago))
    await measure_disk(runtime.database, runtime.settings)
    await store_defined_schedules(runtime.database, None)
    await scene.post("/api/clean-up/orphans")
    await runtime.continue_orphan_searches()


async def _find_paths(scene: Scene) -> None:
    for name, execution_id in scene.executions.items():
        scene.paths[f"execution {name}"] = f"/executions/{execution_id}"
    approval = (await scene.client.get("/api/approvals")).json()["approvals"][0]
    scene.paths["approval"] = f"/console/approvals/{approval['id']}"
    scene.paths["approval by its link"] = approval["url"].removeprefix(scene.base_url)
    scene.paths["plan"] = "/console/plans/title-card"
    scene.paths["form of an operation"] = "/console/new?operation=transcode"
    scene.paths["models"] = "/console/models"
    scene.paths["form of a model"] = "/console/new/model?model=bytedance/seedance-1-pro"
    scene.paths["winners"] = "/console/winners?q=beach&tenant=default"
    delivery = (await scene.client.get("/api/webhook-deliveries?status=pending")).json()["deliveries"][-1]
    scene.paths["delivery"] = f"/console/webhooks/deliveries/{delivery['id']}"
    files = (await scene.client.get(f"/api/executions/{scene.executions['Harbour at dawn']}")).json()["artifacts"]
    videos = [file["artifactId"] for file in files if file["mediaType"].startswith("video/")]
    scene.paths["compare"] = f"/console/compare?file={videos[0]}&file={videos[1]}"
    scene.paths["similar"] = f"/console/artifacts?like={videos[0]}"
    scene.paths["search"] = "/console/artifacts?search=harbour"
    for name, job in (("Harbour at dawn", "film"), ("Autumn trailer", "clip"), ("A fox in the snow", "fox")):
        found = await scene.engine.job(scene.executions[name], job)
        scene.paths[f"job {job}"] = f"/jobs/{found.id}"
    scene.paths["again"] = f"/console/new?from={scene.executions['Harbour at dawn']}"
    scene.artifacts = [file["artifactId"] for file in files]
