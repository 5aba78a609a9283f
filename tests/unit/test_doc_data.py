"""Every document that the documentation shows is read by what it is for: bodies, configuration files, messages."""

import asyncio
import json
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import aiosql
import jsonschema
import orjson
import pytest
import yaml
from tests.support.documentation import PAGES, ROOT, SHELL, Command, blocks_of, commands_of, generator
from tests.unit.test_doc_commands import check_command, known_variables

from callsheet.comfyui.needs import WorkflowNeeds
from callsheet.comfyui.workflows import read_workflow
from callsheet.domain.plan_validation import check_plan, read_submission
from callsheet.domain.resources import CpuUse, MemoryUse, ResourceWarning
from callsheet.engine.schedules.file import read_schedules_file
from callsheet.intake.bullmq.intake import MAPPINGS
from callsheet.intake.celery import intake as celery_intake
from callsheet.intake.contract import result_of
from callsheet.intake.mappings import Payload
from callsheet.intake.polled_api.results import completed_body, failed_body
from callsheet.intake.polled_api.tasks import image_to_video
from callsheet.intake.redis_streams.config import WorkerConfiguration
from callsheet.operation_api.catalog import discover
from callsheet.operations.outside_params import request_for
from callsheet.outside_steps.declarations import read_steps
from callsheet.providers.prices import read_prices
from callsheet.settings import Settings

BLOCKS = [block for page in PAGES for block in blocks_of(page)]

READ_ELSEWHERE = {"python", "sql", "typescript", *SHELL}
"""By test_docs.py, test_doc_commands.py, `make lint`, and the tests of clients/typescript."""
SHOWN = {"text", "mermaid"}
"""What a program prints, and drawings: there is nothing to run."""
PLANS = {"plan", "refused", "models"}
"""Read by test_docs.py, docs/generate.py and the tests of providers."""


def of_language(language):
    return [block for block in BLOCKS if block.language == language and not PLANS & {*block.words}]


def settings(**values):
    return Settings(_env_file=None, **values)


def test_every_block_has_a_language_that_is_read():
    known = READ_ELSEWHERE | SHOWN | {"json", "yaml", "js", "toml"}

    assert {str(block) for block in BLOCKS if block.language not in known} == set()


def accepted(submission):
    """Check a plan or submission as the server does."""
    data = submission if "executionPlan" in submission else {"executionPlan": submission}
    check_plan(read_submission(data).execution_plan, discover().with_settings(settings()), max_jobs=10)


# JSON


@pytest.fixture(scope="module")
def description():
    return generator().api_description()


def webhook(data, description):
    bodies = [
        item["post"]["requestBody"]["content"]["application/json"]["schema"]
        for item in description["webhooks"].values()
    ]
    fitting = [
        body for body in bodies if jsonschema.validators.validator_for(body)(complete(body, description)).is_valid(data)
    ]

    assert fitting, f"no webhook is like {data['type']}"


def complete(schema, description):
    return {**schema, "components": description["components"]}


def problem(data, description):
    answer = description["paths"]["/api/executions"]["post"]["responses"]["422"]["content"]
    jsonschema.validate(data, complete(next(iter(answer.values()))["schema"], description))


def lora_training(data, _):
    submission = MAPPINGS["lora-training"](Payload("lora-training", "train", "7", data, settings()))
    accepted(submission)


def task(data, _):
    accepted(image_to_video(Payload("api", "task", data["id"], data, settings())))


def callback(data, _):
    execution = SimpleNamespace(execution_id=UUID(int=7))
    body = (
        completed_body(None, data["id"], SimpleNamespace(execution=execution, artifacts=[]))
        if data["status"] == "COMPLETED"
        else failed_body(None, data["id"], "…", {})
    )

    assert {*data} == {*orjson.loads(b"".join(asyncio.run(collected(body))))}


async def collected(body):
    return [piece async for piece in body]


def result(data, _):
    artifact = SimpleNamespace(name="", job_id="", url="", key="", media_type="", size=1, sha256="")
    published = SimpleNamespace(url="", key="", expires_at=datetime.now(UTC))
    execution = SimpleNamespace(execution_id=UUID(int=7), metadata={})
    made = result_of(SimpleNamespace(execution=execution, results={}, published=[published], artifacts=[artifact]))

    assert {*data} == {*made}
    assert {*data["artifacts"][0]} == {*made["artifacts"][0]}


def streams(data, _):
    assert WorkerConfiguration.model_validate(data).model_dump(by_alias=True) == data
    assert WorkerConfiguration().model_dump(by_alias=True) == data, "these are not the defaults"


def agent(data, _):
    server = data["mcpServers"]["callsheet"]
    check_command(Command(server["env"], server["command"], tuple(server["args"])))
    assert {*server["env"]} <= known_variables()


def progress(data, _):
    message = SimpleNamespace(key=SimpleNamespace(message_id="8"), execution_id=UUID(int=7))
    assert {*data} == {*celery_intake._meta(message, 0.5, "running", "")}


def step(data, _):
    job = SimpleNamespace(id=UUID(int=1), execution_id=UUID(int=2), attempt=1)
    assert {*data} == {*request_for(job, data["step"], SimpleNamespace(params={}, inputs={}), {})}


def measurement(data, _):
    assert {*data["cpu"]} == {*CpuUse.model_fields}
    assert {*data["memory"]} == {*MemoryUse.model_fields}
    assert {*data["warnings"][0]} == {*ResourceWarning.model_fields}


KINDS = {
    "measurement": measurement,
    "webhook": webhook,
    "problem": problem,
    "lora-training": lora_training,
    "task": task,
    "callback": callback,
    "result": result,
    "streams": streams,
    "agent": agent,
    "progress": progress,
    "step": step,
}


@pytest.mark.parametrize("block", of_language("json"), ids=str)
def test_json_is_what_it_is_for(block, description):
    assert block.words, f"{block}: say what it is, as `json webhook`"
    KINDS[block.words[0]](json.loads(block.text), description)


# YAML


def schedules(path):
    assert read_schedules_file(path)


def prices(path):
    assert read_prices(path)


def steps(path):
    folder_settings = settings(steps_file=path)
    assert read_steps(folder_settings).commands


def inputs(path):
    fields = yaml.safe_load(path.read_text())["inputs"].values()
    targets = [
        target for field in fields for target in ([field["to"]] if isinstance(field["to"], str) else field["to"])
    ]
    graph = {}
    for node, _, name in (target.partition(".") for target in targets):
        graph.setdefault(node, {"class_type": "Node", "inputs": {}})["inputs"][name] = 1
    path.with_name("talk.json").write_text(json.dumps(graph))
    path.rename(path.with_name("talk.inputs.yaml"))

    assert len(read_workflow(path.with_name("talk.json")).description.inputs) == len(fields)


def needs(path):
    assert WorkflowNeeds.model_validate(yaml.safe_load(path.read_text())).models


def prometheus(path):
    assert [config["job_name"] for config in yaml.safe_load(path.read_text())["scrape_configs"]] == ["callsheet"]


FILES = {each.__name__: each for each in (schedules, prices, steps, inputs, needs, prometheus)}


@pytest.mark.parametrize("block", of_language("yaml"), ids=str)
def test_yaml_is_what_it_is_for(block, tmp_path):
    assert block.words, f"{block}: say what it is, as `yaml schedules`"
    path = tmp_path / "file.yaml"
    path.write_text(block.text.replace("/run/secrets/poster", str(path)))

    FILES[block.words[0]](path)


# Other languages


@pytest.mark.parametrize("block", of_language("toml"), ids=str)
def test_toml_is_an_entry_point(block):
    groups = tomllib.loads(block.text)["project"]["entry-points"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

    assert {*groups} <= {*ours}


PRODUCER = """
class Queue {
  constructor(name) { this.name = name; }
  add(name, data) { console.log(JSON.stringify([this.name, name, data])); }
}
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize("block", of_language("js"), ids=str)
def test_producers_in_javascript_send_messages_that_become_plans(block, tmp_path, monkeypatch):
    graph = {"1": {"class_type": "SaveVideo", "inputs": {"filename_prefix": "{{caption}}"}}}
    monkeypatch.setenv("COMFYUI_VIDEO_WORKFLOW_JSON", json.dumps(graph))
    (tmp_path / "producer.mjs").write_text(PRODUCER + block.text)
    sent = subprocess.run(
        ["node", "producer.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    queue, name, data = json.loads(sent)

    plan = MAPPINGS[queue](Payload(queue, name, "7", data, settings(llm_url="http://127.0.0.1:9/v1", llm_model="m")))

    assert read_submission(plan if "executionPlan" in plan else {"executionPlan": plan}).execution_plan.jobs


def test_settings_in_the_documentation_are_valid():
    shown = [block for block in BLOCKS if block.language in SHELL and block.text.startswith("CALLSHEET_")]
    files = [block for block in shown if not any(command.program for command in commands_of(block))]

    assert len(files) > 3
    for block in files:
        values = {name: value for command in commands_of(block) for name, value in command.variables.items()}
        # Files and secrets are the reader's.
        given = {
            name.lower().removeprefix("callsheet_"): value.replace("…", "x" * 40) for name, value in values.items()
        }
        settings(**{name: value for name, value in given.items() if not name.endswith("_file")})


async def test_the_statement_of_an_own_operation_works(database_url):
    import asyncpg

    [statement] = [block.text for block in BLOCKS if block.language == "text" and "-- name:" in block.text]
    queries = aiosql.from_str(statement, "asyncpg", mandatory_parameters=False)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TEMP TABLE counters (tenant text PRIMARY KEY, films int)")
        assert [await queries.set_counter(connection, tenant="a", before=before) for before in (0, 1, 7)] == [
            1,
            2,
            None,
        ]
    finally:
        await connection.close()
