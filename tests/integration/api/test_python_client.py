"""The Python client against a real server, and the examples of its documentation."""

import os
import re
import subprocess
import sys
from asyncio import to_thread
from pathlib import Path

import pytest
from pydantic import SecretStr

import callsheet
from callsheet.domain.plan import Plan, PlannedJob
from callsheet.media.ffmpeg.binary import find_ffmpeg
from callsheet.operation_api.catalog import Catalog, discover
from callsheet.testing.operations import ALL
from support.proxy import Proxy

from .conftest import served

KEY = "0123456789abcdef-key"
PAGE = Path(__file__).parents[3] / "docs" / "python-client.md"
EXAMPLES = dict(re.findall(r"^```python (\S+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
WRITE = {"id": "film", "operation": "write", "params": {"name": "note.txt", "text": "hello"}}


@pytest.fixture
def catalog():
    return Catalog([*discover().operations(), *ALL])


@pytest.fixture
async def locked(settings, catalog):
    """A server with an API key and a worker."""
    async with served(settings.model_copy(update={"api_key": SecretStr(KEY)}), catalog) as api:
        await api.engine.start_worker()
        yield api


@pytest.fixture
async def client(locked):
    async with callsheet.Client(str(locked.client.base_url), KEY) as client:
        yield client


async def test_a_plan_is_submitted_followed_downloaded_and_listed(client, tmp_path):
    plan = Plan(name="typed", jobs=[PlannedJob(**WRITE)])

    receipt = await client.submit(plan, metadata={"order": 1})
    events = [event async for event in client.watch(receipt.execution_id, timeout=60)]
    execution = await client.wait(receipt.execution_id, timeout=60)
    paths = await client.download(receipt.execution_id, tmp_path, name="*.txt")

    assert [event.number for event in events] == list(range(1, execution.last_event + 1))
    assert (execution.status, execution.metadata) == ("succeeded", {"order": 1})
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["film/note.txt"]
    assert paths[0].read_text() == "hello"
    listed = [each.execution_id async for each in client.list_executions(status=["succeeded"], search="typed")]
    assert listed == [receipt.execution_id]


async def test_every_page_of_executions_is_listed(client, monkeypatch):
    monkeypatch.setattr("callsheet.client.client._PAGE_SIZE", 2)
    submitted = [(await client.submit({"jobs": [WRITE]})).execution_id for _ in range(5)]

    assert [each.execution_id async for each in client.list_executions()] == submitted[::-1]


async def test_a_cut_stream_is_resumed_without_a_gap(locked, tmp_path):
    port = locked.client.base_url.port
    messages = []
    async with Proxy("127.0.0.1", port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with callsheet.Client(url, KEY, on_retry=messages.append) as client:
            block = {"id": "a", "operation": "block", "params": {"until": str(tmp_path / "end")}}
            receipt = await client.submit({"jobs": [block, {**WRITE, "dependsOn": ["a"]}]})
            numbers = []
            async for event in client.watch(receipt.execution_id, timeout=60):
                numbers.append(event.number)
                if event.type == "job.running" and event.job_id == "a":
                    proxy.cut()
                    (tmp_path / "end").touch()
            execution = await client.status(receipt.execution_id)

    assert numbers == list(range(1, execution.last_event + 1))
    assert [message.partition(" (")[0] for message in messages] == [f"Lost the connection to {url}"]


async def test_an_execution_is_cancelled_and_retried(client, tmp_path):
    block = {"id": "a", "operation": "block", "params": {"until": str(tmp_path / "end")}}
    receipt = await client.submit({"jobs": [block, {"id": "b", "operation": "noop"}]})

    await client.cancel(receipt.execution_id, job="a")
    assert (await client.wait(receipt.execution_id, timeout=60)).status == "cancelled"
    (tmp_path / "end").touch()
    await client.retry(receipt.execution_id)
    assert (await client.wait(receipt.execution_id, timeout=60)).status == "succeeded"

    with pytest.raises(callsheet.InvalidState, match="succeeded"):
        await client.cancel(receipt.execution_id)
    with pytest.raises(callsheet.NotFound, match="no job 'c'"):
        await client.retry(receipt.execution_id, job="c")


async def test_errors_of_the_server_are_exceptions_with_all_problems(client, locked):
    with pytest.raises(callsheet.PlanRefused) as refused:
        await client.submit({"jobs": [{"id": "a", "operation": "nop"}, {"id": "b", "operation": "sleep"}]})
    assert [(each.path, each.code) for each in refused.value.problems] == [
        ("executionPlan.jobs[0].operation", "unknown_operation"),
        ("executionPlan.jobs[1].params.seconds", "missing"),
    ]
    with pytest.raises(callsheet.NotFound):
        await client.status("019ab1f0-0000-7000-8000-000000000001")
    with pytest.raises(callsheet.Unauthorized):
        async with callsheet.Client(str(locked.client.base_url), "wrong") as stranger:
            await stranger.request("GET", "/api/queues")


async def test_waiting_ends_after_its_timeout(client, tmp_path):
    block = {"id": "a", "operation": "block", "params": {"until": str(tmp_path / "end")}}
    receipt = await client.submit({"jobs": [block]})

    with pytest.raises(callsheet.WaitTimeout):
        await client.wait(receipt.execution_id, timeout=0.3)

    (tmp_path / "end").touch()
    assert (await client.wait(receipt.execution_id, timeout=60)).status == "succeeded"


async def test_the_examples_of_the_documentation_run(locked, settings, tmp_path):
    (tmp_path / "plan.yaml").write_text("jobs: [{id: hello, operation: noop, params: {value: 1}}]")
    clip = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", str(tmp_path / "clip.mp4")]
    environment = {**os.environ, "CALLSHEET_URL": str(locked.client.base_url), "CALLSHEET_API_KEY": KEY}

    def run(*command):
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    await to_thread(run, str(find_ffmpeg(settings)), *clip)
    printed = {name: await to_thread(run, sys.executable, "-c", program) for name, program in EXAMPLES.items()}

    assert "Status: succeeded\nFile: videos/small/" in printed["submit_and_follow.py"]
    assert printed["blocking.py"] == "Status: succeeded\nhello {'value': 1}\n"
    assert printed["errors.py"].startswith(
        "executionPlan.jobs[0].operation unknown_operation unknown operation 'rendr'"
    )
