"""Workers that are killed at every point around an order: nothing is paid twice, and nothing that was paid is lost."""

import asyncio
import base64
import hashlib
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import yaml

from callsheet.api.app import create_app
from callsheet.fakes.comfyui import running_comfyui
from callsheet.fakes.providers.all import FAKES
from callsheet.fakes.providers.fal import FakeFal
from callsheet.fakes.providers.google import FakeGoogle
from callsheet.fakes.providers.kling import FakeKling
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.runpod import FakeRunPod
from callsheet.fakes.providers.server import serve_app
from callsheet.fakes.providers.task_script import sample_video
from callsheet.operation.catalog import discover
from callsheet.testing.crash_points import VARIABLE
from callsheet.testing.engine import Engine
from callsheet.testing.waiters import until
from callsheet.wiring import open_runtime

DEADLY = [sys.executable, "-m", "callsheet.testing.crash_points"]
PROMPT = "An otter that nobody else may hear of"
AT_ONCE = 3
"""Cases side by side: more, and workers on a busy machine look dead to one another."""

IN_DOUBT = {"after the intent": 0, "request seen": 0, "request taken": 1, "answer not stored": 1}
"""Killed there, a worker leaves an order of which nobody knows whether it was taken: how often it was, in truth."""
TRAPS = ["before the intent", "after the intent", "answer not stored", "answer stored", "end not stored", "file stored"]
SEEN = {"request seen": "submit", "request taken": "submit", "look seen": "status", "fetch seen": "download"}
"""Points that the stand-in knows: it kills the worker whose request has come."""
EVERY_POINT = [*TRAPS, *SEEN, "waiting", "webhook came"]
SOME_POINTS = ["after the intent", "request taken", "look seen", "file stored"]
COMFYUI_POINTS = [
    "before the prompt",
    "after the prompt",
    "while running",
    "while looking",
    "before the file",
    "file stored",
]
POINTS = dict.fromkeys(FAKES, SOME_POINTS)
POINTS |= {kind: [*SOME_POINTS, "webhook came"] for kind in (FakeGoogle, FakeKling, FakeRunPod)}
POINTS |= dict.fromkeys((FakeReplicate, FakeFal), EVERY_POINT)
LISTING = (FakeReplicate,)
"""They tell which orders they have taken."""
STEPS = 2
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": STEPS}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "it"}},
}


@dataclass
class Stage:
    """Where one job is run: a database and a folder of its own, and workers that are started one after the other."""

    settings: Any
    engine: Engine
    start: Any
    environment: dict[str, str]
    workers: list[Any] = field(default_factory=list)

    async def worker(self, name, **more):
        with self.complaints.open("a") as file:
            environment = self.environment | more
            worker = self.start(self.settings, name, program=DEADLY, complaints=file, **environment)
        self.workers.append(worker)
        # The stand-ins live in this process, and must not wait for it.
        return await asyncio.to_thread(worker.ready)

    async def leases_end(self):
        """Let the time pass for which a look that was begun keeps its job from other workers."""
        async with self.engine.runtime.database.connection() as connection:
            await connection.execute("UPDATE execution_jobs SET next_poll_at = now() WHERE status = 'waiting'")

    @property
    def complaints(self):
        return self.settings.data_dir / "complaints.log"

    async def everything_told(self):
        """End the workers, and return all that they have written to stdout and stderr."""
        for worker in self.workers:
            worker.kill()
        said = await asyncio.to_thread(lambda: [worker.process.stdout.read() for worker in self.workers])
        return "\n".join([self.complaints.read_text(), *said])

    async def everything_stored(self):
        """Return all that the database holds, by table."""
        async with self.engine.runtime.database.connection() as connection:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            names = [table["tablename"] for table in tables]
            return {
                name: "\n".join(row["row"] for row in await connection.fetch(f'SELECT t::text AS row FROM "{name}" t'))
                for name in names
            }


@pytest.fixture
def stage(settings, new_database, start, tmp_path):
    @asynccontextmanager
    async def opened(name, environment, **changes):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        own = {"data_dir": folder, "database_url": type(settings.database_url)(new_database()), **changes}
        soon = {"provider_poll_interval": timedelta(seconds=0.05), "submission_recovery_timeout": timedelta(seconds=1)}
        changed = settings.model_copy(update=soon | own)
        async with open_runtime(changed, discover()) as runtime:
            yield Stage(changed, Engine(runtime), start, environment)

    return opened


@pytest.fixture
def model(tmp_path, know_models):
    """A file with a model for every provider."""
    models = [
        {
            "id": f"proof/{kind.name}",
            "name": kind.name,
            "makes": "video",
            "offers": [
                {
                    "provider": kind.name,
                    "model": kind.model,
                    "parameters": {"prompt": {"to": "promptText" if kind.name == "runway" else "prompt"}},
                    "fixed": {"ratio": "1280:720"} if kind.name == "runway" else {},
                }
            ],
        }
        for kind in FAKES
    ]
    file = tmp_path / "models.yaml"
    file.write_text(yaml.safe_dump(models))
    know_models(file)
    return file


class Deadly:
    """Weather in which the worker is killed when its request comes, before or after it was heeded."""

    def __init__(self, *, heeded):
        self.heeded = heeded
        self.worker = None

    async def __call__(self, visit, answering):
        answer = await answering() if self.heeded else None
        self.worker.kill()
        return answer or visit.error_response(503, "Nobody is there to read this.")


async def all_of(points, case):
    """Run a case for each point, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(point):
        async with places:
            try:
                await case(point)
            except BaseException as error:
                error.add_note(f"killed at: {point}")
                raise

    async with asyncio.TaskGroup() as cases:
        for point in points:
            cases.create_task(one(point))


async def gone(worker):
    await until(lambda: worker.process.poll() is not None, timeout=30, what="the worker's death")


async def nothing_leaked(stage, *, keys, prompt=None):
    """No key is stored or told anywhere, no token but where it belongs, no prompt in logs, no film in the database."""
    told = await stage.everything_told()
    stored = await stage.everything_stored()
    async with stage.engine.runtime.database.connection() as connection:
        tokens = [row["token"] for row in await connection.fetch("SELECT token FROM submissions WHERE token <> ''")]
    for name, text in {**stored, "its output": told}.items():
        for secret in [*keys, *(tokens if name != "submissions" else ())]:
            assert secret not in text, f"a secret is in {name}"
        for written in FILM_AS_TEXT:
            assert written not in text, f"a film is in {name}"
    if prompt:
        assert prompt not in told + stored["events"] + stored["submissions"]


def as_text(data):
    """A part from the middle of a file, in every way in which a row could hold it, whatever comes before it."""
    part = data[len(data) // 2 :][:48]
    encoded = [base64.b64encode(part[start : start + 45]).decode() for start in range(3)]
    urlsafe = [text.replace("+", "-").replace("/", "_") for text in encoded]
    return {part.hex(), part.hex().upper(), *encoded, *urlsafe}


FILM_AS_TEXT = as_text(sample_video().data)


def files_are_there(stage, execution):
    [artifact] = execution.artifacts
    stored = (stage.settings.files_dir / artifact.key).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == artifact.sha256
    return stored


@pytest.mark.parametrize("kind", FAKES, ids=lambda kind: kind.name)
async def test_an_order_outlives_its_workers_and_is_paid_once(kind, stage, model):
    await all_of(POINTS[kind], lambda point: order_killed_at(point, kind, stage, model))


async def order_killed_at(point, kind, stage, model):
    looks = timedelta(seconds=60 if point == "webhook came" else 0.1)
    async with kind() as provider:
        changes = {"models_file": model, "provider_poll_initial": looks, "provider_poll_max": looks}
        async with (
            stage(point, provider.environment(), **changes) as here,
            serve_app(create_app(here.engine.runtime)) as url,
        ):
            if point == "webhook came":
                here.environment["CALLSHEET_PUBLIC_URL"] = url
            execution_id = await killed(here, provider, point)
            if point == "look seen":
                await here.leases_end()
            await here.worker("second")
            execution = await here.engine.ended(execution_id, timeout=60)
            taken = IN_DOUBT.get(point, 1)
            if point in IN_DOUBT and not (taken and kind in LISTING):
                parked(provider, execution, taken)
                await here.engine.retry(execution_id, resubmit=True)
                execution = await here.engine.ended(execution_id, timeout=60)
                taken += 1
            assert execution.status == "succeeded", execution.jobs[0].error
            assert provider.paid == taken
            assert files_are_there(here, execution) == sample_video().data
            await nothing_leaked(here, keys=[provider.key], prompt=PROMPT)
            assert not [came for came in provider.requests if "otter" in came.url or provider.key in came.url]


async def killed(here, provider, point):
    """Submit a job, and kill its worker at a point."""
    weather = Deadly(heeded=point != "request seen")
    if point in SEEN:
        provider.inject_faults(**{SEEN[point]: [weather]})
    trap = {VARIABLE: point} if point in TRAPS else {}
    weather.worker = worker = await here.worker("first", **trap)
    params = {"modelId": f"proof/{provider.name}", "prompt": PROMPT}
    execution_id = await here.engine.submit({"jobs": [{"id": "film", "operation": "generate", "params": params}]})
    if point in ("waiting", "webhook came"):
        await here.engine.wait(execution_id, "job.waiting", timeout=30)
        worker.kill()
    if point == "webhook came":
        await provider.finish(*provider.tasks)
        assert [told.status for told in provider.sent_webhooks] == [200]
    await gone(worker)
    return execution_id


def parked(provider, execution, taken):
    """The job waits for a person, with all that is known; nothing was sent but what its first worker sent."""
    assert execution.status == "failed"
    [job] = execution.jobs
    assert job.error.code == "submission_unknown"
    assert job.actions == ["retry"]
    facts = job.error.facts
    assert (facts["provider"], facts["step"]) == (provider.name, "submit")
    assert facts["model"] == provider.model
    assert facts["sentAt"]
    assert len(facts["digest"]) == 64
    assert facts["seen"][0] == "Its sender ended before the answer came."
    assert len(facts["seen"]) == 2
    assert provider.paid == taken


async def test_a_prompt_outlives_its_workers_and_is_run_once(stage, tmp_path):
    await all_of(COMFYUI_POINTS, lambda point: prompt_killed_at(point, stage, tmp_path))


async def prompt_killed(here, server, point):
    """Submit a prompt, and kill its worker at a point; from then on the server runs it through."""
    running = point == "while running"
    worker = await here.worker("first", **({} if running else {VARIABLE: point}))
    jobs = [{"id": "draw", "operation": "comfyui", "params": {"graph": GRAPH}}]
    execution_id = await here.engine.submit({"jobs": jobs})
    if running:
        assert await asyncio.wait_for(server.executor.reached.get(), 30) == "2"
        worker.kill()
    for _ in range(STEPS):
        server.executor.steps.release()
    await gone(worker)
    return execution_id


async def prompt_killed_at(point, stage, tmp_path):
    async with running_comfyui(tmp_path / f"server, {point}") as server:
        often = {"comfyui_api_url": server.url, "comfyui_poll_interval_ms": 200}
        async with stage(point, {}, **often) as here:
            execution_id = await prompt_killed(here, server, point)
            await here.worker("second")
            execution = await here.engine.ended(execution_id, timeout=60)
            assert execution.status == "succeeded", execution.jobs[0].error
            assert files_are_there(here, execution).startswith(b"\x89PNG")
            assert len(server.accepted) == 1
            await nothing_leaked(here, keys=[])
