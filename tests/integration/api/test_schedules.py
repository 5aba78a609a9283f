"""Schedules through the API, the console and the command line."""

import asyncio
import json
import re
import sys

import pytest

PLAN = {"jobs": [{"id": "a", "operation": "noop"}]}


async def put(api, name="ad", status=200, **body):
    response = await api.client.put(f"/api/schedules/{name}", json={"cron": "0 6 * * *", "executionPlan": PLAN, **body})
    assert response.status_code == status, response.text
    return response.json()


async def test_a_schedule_is_stored_read_changed_and_deleted(api):
    stored = await put(api, timeZone="Europe/Berlin", jitter="90s", description="Each morning")
    changed = await put(api, cron=None, every="2h")

    assert (stored["timeZone"], stored["jitter"], stored["origin"]) == ("Europe/Berlin", 90, "api")
    assert (changed["every"], changed["cron"], changed["description"]) == (7200, None, None)
    listed = (await api.client.get("/api/schedules")).json()["schedules"]
    assert [each["name"] for each in listed] == ["ad"]
    assert (await api.client.delete("/api/schedules/ad")).status_code == 204
    assert (await api.client.get("/api/schedules/ad")).status_code == 404


async def test_all_problems_of_a_schedule_are_reported(api):
    problem = await put(
        api, status=422, cron="99 * * * *", timeZone="Mars", missed="never", jitter="-5", unknown=1, executionPlan=PLAN
    )

    assert {error["path"] for error in problem["errors"]} == {"cron", "timeZone", "missed", "jitter", "unknown"}


async def test_a_bad_plan_is_refused_with_its_place_in_the_request(api):
    problem = await put(api, status=422, executionPlan={"jobs": [{"id": "a", "operation": "nop"}]})

    assert [(e["path"], e["code"]) for e in problem["errors"]] == [
        ("executionPlan.jobs[0].operation", "unknown_operation")
    ]


async def test_a_schedule_needs_one_recurrence_and_one_plan(api):
    both = await put(api, status=422, every="1h")
    neither = await put(api, status=422, executionPlan=None)

    assert "give one of `cron` and `every`" in json.dumps(both)
    assert "give one of `plan`" in json.dumps(neither)


async def test_pausing_and_resuming_survive_a_change_of_the_schedule(api):
    await put(api)
    await api.client.post("/api/schedules/ad/pause")

    kept = await put(api, cron="0 7 * * *")
    resumed = await put(api, paused=False)

    assert (kept["pausedAt"] is not None, kept["nextDueAt"]) == (True, None)
    assert (resumed["pausedAt"], resumed["nextDueAt"] is not None) == (None, True)
    assert (await api.client.post("/api/schedules/ad/pause")).json()["pausedAt"] is not None
    assert (await api.client.post("/api/schedules/ad/resume")).json()["pausedAt"] is None


async def test_a_schedule_is_run_by_hand_once_for_each_key(api):
    await put(api, paused=True)

    first = await api.client.post("/api/schedules/ad/run", headers={"Idempotency-Key": "k"})
    again = await api.client.post("/api/schedules/ad/run", headers={"Idempotency-Key": "k"})

    assert (first.status_code, first.json()) == (202, again.json())
    assert (await api.client.get(first.headers["Location"])).status_code == 200
    runs = (await api.client.get("/api/schedules/ad/runs")).json()["runs"]
    assert {run["executionId"] for run in runs} == {first.json()["executionId"]}


async def test_the_history_is_read_in_pages(api):
    await put(api)
    for _ in range(3):
        await api.client.post("/api/schedules/ad/run")

    first = (await api.client.get("/api/schedules/ad/runs?limit=2")).json()["runs"]
    rest = (await api.client.get("/api/schedules/ad/runs", params={"before": first[-1]["dueAt"]})).json()["runs"]

    assert (len(first), len(rest)) == (2, 1)
    assert first[1]["dueAt"] > rest[0]["dueAt"]


async def test_the_console_shows_schedules_and_can_pause_and_run_them(api):
    await put(api, description="Each <b>morning</b>")
    page = (await api.client.get("/console/schedules")).text
    token = re.search(r'name="token" value="([^"]+)"', page)[1]

    await api.client.post("/console/schedules/ad/pause", data={"token": token})
    started = await api.client.post("/console/schedules/ad/run", data={"token": token})

    shown = (await api.client.get("/console/schedules/ad")).text
    assert "Each &lt;b&gt;morning&lt;/b&gt;" in page
    assert started.headers["location"].startswith("/executions/")
    assert "paused" in shown
    assert "by hand" in shown


async def callsheet(api, *args):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callsheet", "schedules", *args, "--url", str(api.client.base_url)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_the_command_line_does_what_the_api_does(api, tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("name: A card\njobs:\n- id: a\n  operation: noop\n")

    stored = await callsheet(api, "set", "ad", str(file), "--cron", "@daily", "--time-zone", "Europe/Berlin")
    listed = await callsheet(api, "list")
    paused = await callsheet(api, "pause", "ad")
    started = await callsheet(api, "run", "ad")
    shown = await callsheet(api, "show", "ad")

    assert (stored[0], "Stored: ad. It runs next at" in stored[1]) == (0, True)
    assert "@daily (Europe/Berlin)" in listed[1]
    assert "A card" in listed[1]
    assert paused == (0, "Paused: ad\n")
    assert started[1].strip() in shown[1]
    assert "by hand" in shown[1]
    assert (await callsheet(api, "delete", "ad"))[0] == 0


@pytest.mark.parametrize("args", [(), ("--cron", "@daily", "--every", "1h")])
async def test_the_command_line_needs_one_recurrence(api, tmp_path, args):
    file = tmp_path / "plan.yaml"
    file.write_text("jobs: []\n")

    code, printed = await callsheet(api, "set", "ad", str(file), *args)

    assert code == 2
    assert "give one of --cron and --every" in " ".join(printed.split())


async def test_an_ended_execution_is_deleted_on_request(api):
    execution = (await api.client.post("/api/executions", json={"executionPlan": PLAN})).json()["executionId"]

    early = await api.client.delete(f"/api/executions/{execution}")
    await api.client.post(f"/api/executions/{execution}/cancel")
    deleted = await api.client.delete(f"/api/executions/{execution}")
    again = await api.client.delete(f"/api/executions/{execution}")

    assert (early.status_code, deleted.status_code, again.status_code) == (409, 204, 404)
    assert (await api.client.get(f"/api/executions/{execution}/events")).status_code == 404
