"""Texts of servers, providers and programs with escape sequences: none of them is stored with control characters.

What is stored is what the API, the console, webhooks and the command line show. So every column of every table is
examined, also those that are added later.
"""

import json
import sys
import unicodedata
from datetime import timedelta

import pytest
import yaml
from PIL import Image
from plans import job
from tests.support import fake_trainer

from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs.submit import submit
from callsheet.fakes.comfyui import running_comfyui
from callsheet.operations.comfyui.operation import comfyui
from callsheet.operations.generate import generate
from callsheet.operations.outside_command import command
from callsheet.operations.probe import probe
from callsheet.operations.train_lora import train_lora
from callsheet.operations.transcode import transcode
from callsheet.providers.contract import PollPolicy
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.waiters import until

HOSTILE = (
    "\x1b[32m[INFO]\x1b[0m \x1b]0;owned\x07title \x1b]8;;http://evil\x1b\\link \x1bPdcs\x1b\\ \x1b[2J\x1b[H\x1bc "
    "\x9b31m\x9d0;c1\x9c bell\x07 back\x08 del\x7f end"
)
GIVEN_BY_CLIENTS = {("execution_jobs", "params"), ("submissions", "request")}
"""Columns with what a client has submitted, as it was."""
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "Raise", "inputs": {"image": ["1", 0], "message": HOSTILE}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "it"}},
    "4": {"class_type": "PreviewAny", "inputs": {"source": ["5", 0]}},
    "5": {"class_type": "PrimitiveString", "inputs": {"value": HOSTILE}},
}
SHOWN = {name: node for name, node in GRAPH.items() if name in ("4", "5")}
MODELS = """
- id: fake/video
  name: Fake video
  makes: video
  offers:
    - {provider: one, model: crayon, parameters: {prompt: {to: text}}}
"""
PROGRAM = (
    "import json, sys\n"
    f"said = {HOSTILE!r}\n"
    "print(json.dumps({'progress': 0.5, 'message': said}), flush=True)\n"
    "print(said, file=sys.stderr, flush=True)\n"
    "sys.exit(3)\n"
)


@pytest.fixture
async def server(tmp_path):
    async with running_comfyui(tmp_path / "server") as running:
        yield running


@pytest.fixture
def settings(settings, tmp_path, server):
    (tmp_path / "models.yaml").write_text(MODELS)
    step = {"name": "said", "command": [sys.executable, "-c", PROGRAM]}
    (tmp_path / "steps.yaml").write_text(yaml.safe_dump({"commands": [step]}))
    (tmp_path / "sets/set").mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "sets/set/0.png")
    (tmp_path / "sets/set/0.txt").write_text("a red wall")
    (tmp_path / "models/diffusers").mkdir(parents=True)
    (tmp_path / f"{HOSTILE.replace('/', '')}.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + HOSTILE.encode() * 50)
    return settings.model_copy(
        update={
            "comfyui_api_url": server.url,
            "comfyui_poll_interval": timedelta(seconds=0.2),
            "models_file": tmp_path / "models.yaml",
            "steps_file": tmp_path / "steps.yaml",
            "training_datasets": [tmp_path / "sets"],
            "training_output": tmp_path / "out",
            "training_models": tmp_path / "models",
            "peft_python": fake_trainer.install(tmp_path / "trainer", say=HOSTILE, fail_at=2),
            "source_roots": [tmp_path],
        }
    )


async def test_no_stored_text_of_the_outside_has_control_characters(settings, tmp_path):
    soon = timedelta(seconds=0.05)
    provider = FakeProvider(
        tmp_path / "one", name="one", poll_policy=PollPolicy(initial=soon, max_interval=soon, webhook_interval=soon)
    )
    broken = str(next(tmp_path.glob("*.mp4")))
    jobs = [
        job("node", "comfyui", params={"graph": GRAPH}, retries=0),
        job("text", "comfyui", params={"graph": SHOWN}, retries=0),
        job("provider", "generate", params={"modelId": "fake/video", "prompt": "a fox"}, retries=0),
        job("program", "command", params={"command": "said"}, retries=0),
        job("ffmpeg", "transcode", params={"src": broken, "format": "mp4"}, retries=0),
        job("probe", "probe", params={"src": broken}, retries=0),
        job("trainer", "train-lora", params=_training(), retries=0),
    ]
    operations = [comfyui, generate, command, probe, transcode, train_lora]
    async with running_engine(operations, settings=settings, providers=[provider]) as engine:
        database = engine.runtime.database
        # Each in an execution of its own: the failure of one skips no other.
        ids = []
        for each in jobs:
            plan = read_submission({"executionPlan": {"jobs": [each]}})
            ids.append((await submit(database, plan, engine.runtime.catalog, max_jobs=1)).execution_id)
        [request] = await until(provider.requests)
        provider.set_status(request["id"], "running", HOSTILE, progress=0.5)
        await engine.wait(ids[2], "job.waiting")
        provider.set_status(request["id"], "failed", HOSTILE, message=HOSTILE)
        ended = {each.jobs[0].job_id: each.jobs[0] for each in [await engine.ended(i, timeout=60) for i in ids]}
        async with database.connection() as connection:
            stored = await _texts(connection)

    assert {name: str(each.status) for name, each in ended.items() if name != "text"} == dict.fromkeys(
        ("node", "provider", "program", "ffmpeg", "probe", "trainer"), "failed"
    )
    assert ended["text"].result["texts"]["4"].endswith("end")
    for name in ("node", "provider", "trainer"):
        assert " end" in ended[name].error.message, (name, ended[name].error.message)
    wrong = {place: text for place, text in stored if _has_controls(text)}
    assert wrong == {}
    assert sum("[INFO] title" in text for _, text in stored) >= 6


def _training():
    return {"dataset": "set", "trainingName": "face", "profile": "diffusers-peft", "steps": 6, "saveEverySteps": 2}


async def _texts(connection):
    """Return every text in every table of Callsheet, with its place."""
    columns = await connection.fetch(
        """SELECT table_name, column_name, data_type FROM information_schema.columns
           JOIN information_schema.tables USING (table_schema, table_name)
           WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'
             AND data_type IN ('text', 'jsonb', 'json', 'ARRAY', 'character varying')"""
    )
    found = []
    for table, column, kind in columns:
        if (table, column) in GIVEN_BY_CLIENTS:
            continue
        rows = await connection.fetch(f'SELECT "{column}"::text AS value FROM "{table}"')
        for row in rows:
            if row["value"] is not None:
                texts = _strings(json.loads(row["value"])) if kind in ("jsonb", "json") else [row["value"]]
                found += [(f"{table}.{column}", text) for text in texts]
    return found


def _strings(value):
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in [key, *_strings(each)]]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [value] if isinstance(value, str) else []


def _has_controls(text):
    return any(unicodedata.category(char) == "Cc" and char not in "\t\n" for char in text)
