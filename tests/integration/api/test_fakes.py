"""The examples, run without API keys on fakes of all providers."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
import yaml

from callsheet.fakes.providers.all import all_fakes, environment_of
from callsheet.fakes.providers.task_script import sample_video
from callsheet.operation_api.catalog import discover
from callsheet.providers.registry import read_registry

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("generate-*.yaml"))
MODELS_FILE = EXAMPLES[0].parent / "models" / "own.yaml"
SOON = timedelta(seconds=0.05)
LATER = timedelta(hours=1)


@pytest.fixture
async def fakes():
    async with all_fakes(pace=0.05) as fakes:
        yield {fake.name: fake for fake in fakes}


@pytest.fixture
def catalog():
    return discover()


@pytest.fixture
def settings(settings, fakes, monkeypatch):
    """Settings that connect to all fakes, for a server that receives their webhooks."""
    for name, value in environment_of(fakes.values()).items():
        monkeypatch.setenv(name, value)
    changes = {
        "provider_poll_interval": timedelta(seconds=0.02),
        "public_url": f"http://127.0.0.1:{settings.port}",
        "models_file": MODELS_FILE,
    }
    return settings.model_copy(update=changes)


def providers_of(plan):
    """Yield the providers that a plan uses."""
    registry = read_registry(MODELS_FILE)
    for job in plan["jobs"]:
        if job["operation"] == "generate":
            yield job["params"].get("provider") or registry[job["params"]["modelId"]].offers[0].provider


class TestPolling:
    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"provider_poll_initial": SOON, "provider_poll_max": SOON})

    async def test_every_example_succeeds_and_pays_once(self, working, fakes):
        plans = [yaml.safe_load(example.read_text()) for example in EXAMPLES]
        assert {name for plan in plans for name in providers_of(plan)} >= {*fakes}
        started = [await working.client.post("/api/execute", json={"executionPlan": plan}) for plan in plans]

        for plan, answer in zip(plans, started, strict=True):
            assert answer.status_code == 202, answer.text
            execution = await working.engine.ended(UUID(answer.json()["executionId"]))
            assert execution.status == "succeeded", (plan["name"], [job.error for job in execution.jobs])
            files = [file for job in execution.jobs if job.operation == "generate" for file in job.result["files"]]
            assert all(file["mediaType"].startswith(("video/", "image/")) for file in files)
            assert all(file["probe"]["width"] for file in files)
        used = [name for plan in plans for name in providers_of(plan)]
        assert {name: fake.paid for name, fake in fakes.items()} == {name: used.count(name) for name in fakes}


class TestWebhook:
    @pytest.fixture
    def settings(self, settings):
        """No poll happens within the time of a test."""
        return settings.model_copy(update={"provider_poll_initial": LATER, "provider_poll_max": LATER})

    async def test_a_webhook_alone_ends_the_job(self, working, fakes):
        plan = yaml.safe_load((EXAMPLES[0].parent / "generate-replicate.yaml").read_text())

        answer = await working.client.post("/api/execute", json={"executionPlan": plan})
        execution_id = answer.json()["executionId"]
        execution = await working.ended(execution_id)

        assert execution["status"] == "succeeded"
        [file] = execution["artifacts"]
        assert (await working.client.get(file["url"])).content == sample_video().data
        assert [sent.status for sent in fakes["replicate"].sent_webhooks] == [200]
        assert fakes["replicate"].paid == 1
        assert execution["jobs"][0]["waitingStrategy"] == "webhook"


def test_the_command_prints_the_variables_and_stops_on_sigint():
    command = [sys.executable, "-m", "callsheet", "dev", "fakes", "--port", "0", "--pace", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}) as process:
        line = process.stdout.readline()
        try:
            name, _, url = line.removeprefix("export ").strip().partition("=")
            assert name == "CALLSHEET_REPLICATE_URL"
            answer = httpx2.get(f"{url}/v1/predictions", trust_env=False)
        finally:
            process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(20) == 0

    assert answer.status_code == 401
    assert "export CALLSHEET_REPLICATE_API_TOKEN=" in rest
    assert "export COMFYUI_API_URL=http://127.0.0.1:" in rest
