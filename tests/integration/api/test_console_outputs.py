"""What people do with the outputs of a job: see how it was made, compare, search, find similar ones, make it again."""

import asyncio
import json
import os
import re
import subprocess
import sys
from html import unescape

import pytest

from callsheet.testing.operations import QUEUE

from .test_console import page


async def written(api, file="take.txt", text="x", **plan):
    """Run a job that writes a file; return the execution."""
    jobs = [{"id": "write", "operation": "write", "params": {"name": file, "text": text}}]
    answer = await api.client.post("/api/executions", json={"executionPlan": {"jobs": jobs, **plan}})
    ended = await api.ended(answer.json()["executionId"])
    assert ended["status"] == "succeeded", ended
    return ended


def copies(text):
    """Return the texts below “Copy as …” by name."""
    found = re.findall(r"<summary>Copy as ([^<]+)</summary>\n<pre[^>]*><code>(.*?)</code>", text, re.DOTALL)
    return {name: unescape(code) for name, code in found}


async def test_the_page_of_a_job_has_its_runs_error_and_log(working):
    ended = await working.ended(await working.submit(("shaky", "fail", {"times": 1, "transient": True})))
    failed = await working.ended(await working.submit(("gone", "fail", {"message": "no <b>lamp</b>"})))
    surprise = await working.ended(await working.submit(("odd", "surprise", {})))

    text = await page(working, f"/jobs/{ended['jobs'][0]['id']}")
    surprised = await page(working, f"/jobs/{surprise['jobs'][0]['id']}")
    broken = await page(working, f"/jobs/{failed['jobs'][0]['id']}")

    assert text.count('<th scope="row">attempt 1</th>') == 1 and text.count('<th scope="row">attempt 2</th>') == 1
    assert "failed on purpose" in text and "1 of " in text
    assert f"/console/jobs?queue={QUEUE}" in text and f"/executions/{ended['executionId']}" in text
    assert "no &lt;b&gt;lamp" in broken and "<summary>Traceback</summary>" in surprised
    assert "Retry</button>" in broken
    assert (await working.client.get("/jobs/01a22757-bc21-756d-8add-4eeb031c706c")).status_code == 404


async def test_files_are_compared_with_what_differs_in_their_jobs(working):
    first, second = await written(working, text="<i>short"), await written(working, text="a longer text")
    ids = [each["artifacts"][0]["artifactId"] for each in (first, second)]

    text = await page(working, f"/console/compare?file={ids[0]}&file={ids[1]}")
    many = await page(working, "/console/compare?" + "&".join(f"file={ids[n % 2]}" for n in range(9)))
    empty = await page(working, "/console/compare")

    assert "&lt;i&gt;short" in text and "a longer text" in text
    assert "<code>text</code>" in text and "<code>name</code>" not in text
    assert many.count("<figure>") == 2
    assert "Choose two to four files" in empty


async def test_artifacts_are_found_by_a_text_and_like_one_of_them(working):
    fog = await written(working, "fog.txt", "a lighthouse in the fog", name="Coast")
    near = await written(working, "near.txt", "the lighthouse keeper", name="Keeper")
    other = await written(working, "100%.txt", "a cup of tea", name="Kitchen")
    files = [each["artifacts"][0]["artifactId"] for each in (fog, near, other)]

    async def listed(query):
        text = await page(working, f"/console/artifacts?{query}")
        return [each for each in re.findall(r"like=([0-9a-f-]{36})", text) if each in files]

    assert await listed("search=LIGHTHOUSE") == [files[1], files[0]]
    assert await listed("search=kitchen") == [files[2]]
    assert await listed("search=100%25") == [files[2]]
    assert await listed("search=_") == []
    assert (await listed(f"like={files[0]}"))[0] == files[1]
    assert files[0] not in await listed(f"like={files[0]}")
    unknown = await working.client.get("/console/artifacts?like=01a22757-bc21-756d-8add-4eeb031c706c")
    assert unknown.status_code == 404


async def test_the_plan_of_an_execution_is_changed_and_run_again(working):
    jobs = [
        {"id": "a", "operation": "noop", "params": {"value": "it's ${inputs.title}"}, "priority": 9},
        {"id": "b", "operation": "noop", "params": {"value": "${a.value}"}, "continueOnFailure": True},
        {"id": "c", "operation": "noop", "dependsOn": ["a"], "retries": 7},
    ]
    plan = {"name": "Again", "inputs": {"title": {}}, "jobs": jobs}
    answer = await working.client.post("/api/executions", json={"executionPlan": plan, "inputs": {"title": "über"}})
    first = await working.ended(answer.json()["executionId"])

    text = await page(working, f"/console/new?from={first['executionId']}")
    shown = unescape(re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", text, re.DOTALL)[1])
    again = await working.client.post(
        "/api/executions", content=shown.encode(), headers={"Content-Type": "application/yaml"}
    )
    second = await working.ended(again.json()["executionId"])

    facts = ("jobId", "operation", "params", "dependsOn", "priority", "maxAttempts", "continueOnFailure", "timeout")
    assert [[job[fact] for fact in facts] for job in second["jobs"]] == [
        [job[fact] for fact in facts] for job in first["jobs"]
    ]
    assert "it's über" in shown and "${a.value}" in shown
    assert "dependsOn" in shown and shown.count("dependsOn") == 1, "only what no reference says"
    assert (await working.client.get("/console/new?from=01a22757-bc21-756d-8add-4eeb031c706c")).status_code == 404


@pytest.mark.parametrize("name", ["curl", "command line", "Python"])
async def test_a_copied_command_submits_the_same_plan(working, tmp_path, name):
    first = await written(working, "it's.txt", 'an $HOME `date` "quoted" \\ text', name="Copied")
    text = copies(await page(working, f"/executions/{first['executionId']}"))[name]
    (tmp_path / "callsheet").write_text(f'#!/bin/sh\nexec {sys.executable} -m callsheet "$@"\n')
    (tmp_path / "callsheet").chmod(0o755)
    command = [sys.executable, "-c", text] if name == "Python" else ["bash", "-ec", text]
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLSHEET_API_KEY": "scene-0123456789abcdef",
    }

    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    newest = (await working.client.get("/api/executions")).json()["executions"]
    assert len(newest) == 2, done.stdout
    second = await working.ended(newest[0]["executionId"])
    assert second["jobs"][0]["params"] == first["jobs"][0]["params"]
    assert second["name"] == "Copied"


async def test_a_copied_program_in_typescript_has_the_plan_as_json(working):
    first = await written(working, name="Copied")
    text = copies(await page(working, f"/executions/{first['executionId']}"))["TypeScript"]

    plan = json.loads(re.search(r"const plan = (\{.*?\n\});", text, re.DOTALL)[1])

    assert plan["jobs"][0]["params"] == {"name": "take.txt", "text": "x"}
    assert "client.submit(plan)" in text
