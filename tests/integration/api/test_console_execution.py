"""The page of an execution: plan graph, timeline, a page of its jobs, and what an open page receives."""

import asyncio
import json
import time

from .test_console import page


async def test_it_has_the_plan_the_timeline_the_outputs_events_and_log_of_an_execution(working):
    plan = [
        {"id": "poster", "operation": "write", "params": {"name": "poster.png", "text": "x"}},
        {"id": "broken", "operation": "fail", "params": {"message": "no <b>lamp</b>"}, "dependsOn": ["poster"]},
    ]
    body = {"executionPlan": {"name": "film", "jobs": plan}}
    execution_id = (await working.client.post("/api/executions", json=body)).json()["executionId"]
    jobs = {job["jobId"]: job["id"] for job in (await working.ended(execution_id))["jobs"]}

    text = await page(working, f"/executions/{execution_id}")

    assert f'<g id="n-{jobs["poster"]}" class="node succeeded" transform="translate(1 1)">' in text
    assert f'<g id="n-{jobs["broken"]}" class="node failed" transform="translate(251 1)">' in text
    assert 'class="edges" d="M191 24C221 24 221 24 251 24"' in text
    assert '<rect class="running"' in text
    assert "running, run 1:" in text
    outputs = text.partition(f'id="d-{jobs["poster"]}"')[2].partition("</tbody>")[0]
    assert '<img src="http' in outputs
    assert "&#34;poster.png&#34;" in outputs
    assert "<strong>job.failed</strong> broken" in text
    assert "no &lt;b&gt;lamp" in text
    assert "<b>lamp" not in text
    assert f"callsheet watch {execution_id}" in text
    only_failed = await page(working, f"/executions/{execution_id}?status=failed")
    assert (jobs["broken"] in only_failed, f'id="j-{jobs["poster"]}"' in only_failed) == (True, False)


async def test_the_page_of_ten_thousand_jobs_is_small_and_leads_to_the_next_jobs(api):
    execution_id = await api.submit(*((f"job-{number:05}", "noop", {}) for number in range(10_000)))

    began = time.process_time()
    text = await page(api, f"/executions/{execution_id}")
    # Of the processor, and not of the clock: other tests run meanwhile.
    assert time.process_time() - began < 1, "it opens within a second"
    following = text.partition('href="?after=')[2].partition("#")[0]

    assert len(text.encode()) < 300_000
    assert text.count('<tbody id="j-') == 50
    assert "and is not drawn" in text
    assert "job-00050" in await page(api, f"/executions/{execution_id}?after={following}")


async def test_an_open_page_receives_only_what_has_changed(working, tmp_path):
    execution_id = await working.submit(("a", "noop", {}), ("b", "block", {"until": str(tmp_path / "end")}))
    await working.event(execution_id, "job.succeeded")
    await working.event(execution_id, "job.running", job="b")
    execution = (await working.client.get(f"/api/executions/{execution_id}")).json()
    jobs = {job["jobId"]: job["id"] for job in execution["jobs"]}

    path = f"/console/stream/{execution_id}?after_event={execution['lastEvent']}"
    changed = set()
    async with working.client.stream("GET", path) as response, asyncio.timeout(20):
        async for line in response.aiter_lines():
            if line == "retry: 3000":
                (tmp_path / "end").touch()
            if line.startswith("data: {"):
                changed.add(json.loads(line[6:])["id"])

    assert {f"n-{jobs['b']}", f"j-{jobs['b']}", "state", "timeline"} <= changed
    assert not {f"n-{jobs['a']}", f"j-{jobs['a']}", f"d-{jobs['a']}"} & changed
