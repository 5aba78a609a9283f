"""Workers that are killed at every point around a submission: nothing is charged twice, and no charged task is lost."""

import asyncio
import base64
import hashlib
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
from callsheet.operation_api.catalog import discover
from callsheet.testing.engine import Engine
from callsheet.testing.waiters import until
from callsheet.wiring import open_runtime
from support.crash_points import VARIABLE
from support.forked_worker import ForkServer

PROMPT = "An otter in a secret prompt"
AT_ONCE = 3
"""Concurrent cases. With more of them, workers on a busy machine look dead to each other."""

UNKNOWN_OUTCOME = {"after the intent": 0, "request seen": 0, "request accepted": 1, "answer not stored": 1}
"""Crash points that leave a submission of unknown outcome → how many tasks the provider really accepted."""
CRASH_POINTS = [
    "before the intent",
    "after the intent",
    "answer not stored",
    "answer stored",
    "end not stored",
    "file stored",
]
SERVER_POINTS = {
    "request seen": "submit",
    "request accepted": "submit",
    "poll seen": "status",
    "fetch seen": "download",
}
"""Crash points at which the fake server kills the worker that sent the request → kind of the request."""
EVERY_POINT = [*CRASH_POINTS, *SERVER_POINTS, "waiting", "webhook received"]
SOME_POINTS = ["after the intent", "request accepted", "poll seen", "file stored"]
COMFYUI_POINTS = [
    "before the prompt",
    "after the prompt",
    "while running",
    "while polling",
    "before the file",
    "file stored",
]
POINTS = dict.fromkeys(FAKES, SOME_POINTS)
POINTS |= {kind: [*SOME_POINTS, "webhook received"] for kind in (FakeGoogle, FakeKling, FakeRunPod)}
POINTS |= dict.fromkeys((FakeReplicate, FakeFal), EVERY_POINT)
LISTING = (FakeReplicate,)
"""Providers that can list their tasks."""
STEPS = 2
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": STEPS}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "it"}},
}


@dataclass
class Stage:
    """A separate database and folder for one job, and its workers, started one after the other."""

    settings: Any
    engine: Engine
    start: Any
    fork_server: ForkServer
    environment: dict[str, str]
    workers: list[Any] = field(default_factory=list)

    async def worker(self, name, **more):
        with self.stderr_file.open("a") as file:
            environment = self.environment | more
            worker = self.start(self.settings, name, program=self.fork_server, stderr=file, **environment)
        self.workers.append(worker)
        # In a thread, because the fake servers run on this event loop.
        return await asyncio.to_thread(worker.ready)

    async def expire_leases(self):
        """Expire the leases of started polls."""
        async with self.engine.runtime.database.connection() as connection:
            await connection.execute("UPDATE execution_jobs SET next_poll_at = now() WHERE status = 'waiting'")

    @property
    def stderr_file(self):
        return self.settings.data_dir / "stderr.log"

    async def kill_and_read_output(self):
        """Kill the workers. Return everything that they wrote to stdout and stderr."""
        for worker in self.workers:
            worker.kill()
        said = await asyncio.to_thread(lambda: [worker.process.stdout.read() for worker in self.workers])
        return "\n".join([self.stderr_file.read_text(), *said])

    async def database_contents(self):
        """Return the contents of the database as text, by table."""
        async with self.engine.runtime.database.connection() as connection:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'callsheet'")
            names = [table["tablename"] for table in tables]
            return {
                name: "\n".join(row["row"] for row in await connection.fetch(f'SELECT t::text AS row FROM "{name}" t'))
                for name in names
            }


@pytest.fixture(scope="module")
def fork_server():
    with ForkServer("support.crash_points") as server:
        yield server


@pytest.fixture
def open_stage(settings, new_database, start, fork_server, tmp_path):
    @asynccontextmanager
    async def opened(name, environment, provider_settings=(), **changes):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        isolated = {"data_dir": folder, "database_url": type(settings.database_url)(new_database()), **changes}
        short_timeouts = {
            "provider_poll_interval": timedelta(seconds=0.05),
            "submission_recovery_timeout": timedelta(seconds=1),
        }
        changed = settings.model_copy(update=short_timeouts | isolated)
        async with open_runtime(changed, discover(), provider_settings=provider_settings) as runtime:
            yield Stage(changed, Engine(runtime), start, fork_server, environment)

    return opened


@pytest.fixture
def model(tmp_path, use_models_file):
    """A models file with one model per provider."""
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
    use_models_file(file)  # for the workers, which are processes
    return file


class KillWorker:
    """A fault that kills the worker when its request arrives, before or after it is handled."""

    def __init__(self, *, handled):
        self.handled = handled
        self.worker = None

    async def __call__(self, context, respond):
        response = await respond() if self.handled else None
        self.worker.kill()
        return response or context.error_response(503, "The client is dead.")


async def run_cases(points, case):
    """Run a case for each point, some of them concurrently."""
    places = asyncio.Semaphore(AT_ONCE)

    async def run_case(point):
        async with places:
            try:
                await case(point)
            except BaseException as error:
                error.add_note(f"killed at: {point}")
                raise

    async with asyncio.TaskGroup() as cases:
        for point in points:
            cases.create_task(run_case(point))


async def wait_for_exit(worker):
    await until(lambda: worker.process.poll() is not None, timeout=30, what="the worker's death")


async def check_no_leaks(stage, *, keys, prompt=None):
    """Check that no API key, token, prompt or video is in the database or in the output where it must not be."""
    output = await stage.kill_and_read_output()
    stored = await stage.database_contents()
    async with stage.engine.runtime.database.connection() as connection:
        tokens = [row["token"] for row in await connection.fetch("SELECT token FROM submissions WHERE token <> ''")]
    for name, text in {**stored, "its output": output}.items():
        for secret in [*keys, *(tokens if name != "submissions" else ())]:
            assert secret not in text, f"a secret is in {name}"
        for written in ENCODED_VIDEO:
            assert written not in text, f"a video is in {name}"
    if prompt:
        assert prompt not in output + stored["events"] + stored["submissions"]


def encodings(data):
    """A part from the middle of a file in all encodings of a row, at every base64 alignment."""
    part = data[len(data) // 2 :][:48]
    encoded = [base64.b64encode(part[start : start + 45]).decode() for start in range(3)]
    urlsafe = [text.replace("+", "-").replace("/", "_") for text in encoded]
    return {part.hex(), part.hex().upper(), *encoded, *urlsafe}


ENCODED_VIDEO = encodings(sample_video().data)


def check_stored_file(stage, execution):
    [artifact] = execution.artifacts
    stored = (stage.settings.files_dir / artifact.key).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == artifact.sha256
    return stored


@pytest.mark.parametrize("kind", FAKES, ids=lambda kind: kind.name)
async def test_a_submission_survives_its_workers_and_is_charged_once(kind, open_stage, model):
    await run_cases(POINTS[kind], lambda point: check_submission_killed_at(point, kind, open_stage, model))


async def check_submission_killed_at(point, kind, open_stage, model):
    poll_interval = timedelta(seconds=60 if point == "webhook received" else 0.1)
    async with kind() as provider:
        changes = {"models_file": model, "provider_poll_initial": poll_interval, "provider_poll_max": poll_interval}
        async with (
            open_stage(point, provider.environment(), [provider.provider_settings()], **changes) as stage,
            serve_app(create_app(stage.engine.runtime)) as url,
        ):
            if point == "webhook received":
                stage.environment["CALLSHEET_PUBLIC_URL"] = url
            execution_id = await killed(stage, provider, point)
            if point == "poll seen":
                await stage.expire_leases()
            await stage.worker("second")
            execution = await stage.engine.ended(execution_id, timeout=60)
            taken = UNKNOWN_OUTCOME.get(point, 1)
            if point in UNKNOWN_OUTCOME and not (taken and kind in LISTING):
                check_unknown_outcome(provider, execution, taken)
                await stage.engine.retry(execution_id, resubmit=True)
                execution = await stage.engine.ended(execution_id, timeout=60)
                taken += 1
            assert execution.status == "succeeded", execution.jobs[0].error
            assert provider.paid == taken
            assert check_stored_file(stage, execution) == sample_video().data
            await check_no_leaks(stage, keys=[provider.key], prompt=PROMPT)
            assert not [
                request for request in provider.requests if "otter" in request.url or provider.key in request.url
            ]


async def killed(stage, provider, point):
    """Submit a job and kill its worker at a point."""
    fault = KillWorker(handled=point != "request seen")
    if point in SERVER_POINTS:
        provider.inject_faults(**{SERVER_POINTS[point]: [fault]})
    crash_point = {VARIABLE: point} if point in CRASH_POINTS else {}
    fault.worker = worker = await stage.worker("first", **crash_point)
    params = {"modelId": f"proof/{provider.name}", "prompt": PROMPT}
    execution_id = await stage.engine.submit({"jobs": [{"id": "film", "operation": "generate", "params": params}]})
    if point in ("waiting", "webhook received"):
        await stage.engine.wait(execution_id, "job.waiting", timeout=30)
        worker.kill()
    if point == "webhook received":
        await provider.finish(*provider.tasks)
        assert [output.status for output in provider.sent_webhooks] == [200]
    await wait_for_exit(worker)
    return execution_id


def check_unknown_outcome(provider, execution, taken):
    """The job has failed with all evidence, and only its first worker has sent a request."""
    assert execution.status == "failed"
    [job] = execution.jobs
    assert job.error.code == "submission_unknown"
    assert job.actions == ["retry"]
    facts = job.error.facts
    assert (facts["provider"], facts["step"]) == (provider.name, "submit")
    assert facts["model"] == provider.model
    assert facts["sentAt"]
    assert len(facts["digest"]) == 64
    assert facts["seen"][0] == "The sender died before the response arrived."
    assert len(facts["seen"]) == 2
    assert provider.paid == taken


async def test_a_prompt_survives_its_workers_and_runs_once(open_stage, tmp_path):
    await run_cases(COMFYUI_POINTS, lambda point: check_prompt_killed_at(point, open_stage, tmp_path))


async def prompt_killed(stage, server, point):
    """Submit a prompt and kill its worker at a point. Then the server completes the prompt."""
    running = point == "while running"
    worker = await stage.worker("first", **({} if running else {VARIABLE: point}))
    jobs = [{"id": "draw", "operation": "comfyui", "params": {"graph": GRAPH}}]
    execution_id = await stage.engine.submit({"jobs": jobs})
    if running:
        assert await asyncio.wait_for(server.executor.reached_nodes.get(), 30) == "2"
        worker.kill()
    for _ in range(STEPS):
        server.executor.step_permits.release()
    await wait_for_exit(worker)
    return execution_id


async def check_prompt_killed_at(point, open_stage, tmp_path):
    async with running_comfyui(tmp_path / f"server, {point}") as server:
        frequent = {"comfyui_api_url": server.url, "comfyui_poll_interval": timedelta(seconds=0.2)}
        async with open_stage(point, {}, **frequent) as stage:
            execution_id = await prompt_killed(stage, server, point)
            await stage.worker("second")
            execution = await stage.engine.ended(execution_id, timeout=60)
            assert execution.status == "succeeded", execution.jobs[0].error
            assert check_stored_file(stage, execution).startswith(b"\x89PNG")
            assert len(server.accepted) == 1
            await check_no_leaks(stage, keys=[])
