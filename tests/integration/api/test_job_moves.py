"""Moves of jobs through the API, the commands and the console."""

from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain.ids import new_id

from .commands import command, command_json
from .test_console import page, token_in

LATER = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)


async def job_of(api, execution_id):
    return (await api.client.get(f"/api/executions/{execution_id}")).json()["jobs"][0]


async def move(api, job, name, body=None, status=200):
    response = await api.client.post(f"/api/jobs/{job['id']}/{name}", json=body)
    assert response.status_code == status, response.text
    return response.json()


async def test_a_job_is_held_released_prioritized_moved_and_started_later(api):
    await api.client.patch("/api/queues/test", json={"maxRunning": 5})
    job = await job_of(api, await api.submit(("film", "noop", {})))

    held = await move(api, job, "hold")
    released = await move(api, job, "release")
    urgent = await move(api, job, "prioritize", {"priority": 77})
    next_one = await move(api, job, "run-next")
    scheduled = await move(api, job, "start-later", {"startAt": LATER.isoformat()})
    moved = await move(api, job, "change-queue", {"queue": "test"})

    assert (held["status"], held["waitReason"]["code"]) == ("pending", "on_hold")
    assert held["moves"] == ["release", "change_queue", "prioritize", "start_later"]
    assert (released["status"], released["onHoldAt"], urgent["priority"]) == ("queued", None, 77)
    assert next_one["priority"] == 77
    assert (scheduled["status"], datetime.fromisoformat(scheduled["startAt"])) == ("scheduled", LATER)
    assert moved["queue"] == "test"
    await api.app.state.audit_writer.flush()
    audited = (await api.client.get("/api/audit")).json()["entries"]
    assert {"hold_job", "release_job", "prioritize_job", "run_job_next", "start_job_later", "change_queue_of_job"} <= {
        entry["action"] for entry in audited
    }


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("change-queue", {"queue": "nowhere"}, "there is no queue 'nowhere'; there are "),
        ("change-queue", {}, "queue"),
        ("prioritize", {"priority": 10**7}, "1000000"),
        ("prioritize", {"priority": "high"}, "priority"),
        ("start-later", {"startAt": "2020-01-01T00:00:00Z"}, "is past"),
        ("start-later", {"startAt": "2030-01-01T00:00:00"}, "timezone"),
        ("start-later", {"startAt": "tomorrow"}, "startAt"),
    ],
)
async def test_values_that_make_no_sense_are_refused_with_the_field(api, name, body, says):
    job = await job_of(api, await api.submit(("film", "noop", {})))

    assert says in str(await move(api, job, name, body, status=422))
    assert (await job_of(api, job["executionId"]))["status"] == "queued"


async def test_moves_of_ended_and_unknown_jobs_are_refused(working):
    execution_id = await working.submit(("film", "noop", {}))
    job = (await working.ended(execution_id))["jobs"][0]

    assert job["moves"] == []
    assert (await move(working, job, "hold", status=409))["detail"] == (
        "The job is succeeded; hold is not possible now."
    )
    await move(working, {"id": new_id()}, "run-next", status=404)


async def test_a_plan_that_starts_later_says_so_in_its_receipt(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}, "startAt": LATER.isoformat()}
    receipt = (await api.client.post("/api/executions", json=body)).json()
    bad = await api.client.post("/api/executions", json={**body, "startAt": "2030-01-01T00:00:00"})

    job = await job_of(api, receipt["executionId"])
    assert (receipt["jobs"][0]["status"], job["status"]) == ("scheduled", "scheduled")
    assert datetime.fromisoformat(job["scheduledAt"]) == LATER
    assert bad.status_code == 422 and bad.json()["errors"][0]["path"] == "startAt"


async def test_the_commands_move_a_job(api, tmp_path):
    await api.client.patch("/api/queues/render", json={"paused": True})
    plan = tmp_path / "plan.json"
    plan.write_text('{"jobs": [{"id": "film", "operation": "noop"}]}')
    execution_id = (await command(api, "submit", str(plan), "--start-at", "2h")).stdout.strip()
    assert (await job_of(api, execution_id))["status"] == "scheduled"

    said = (await command(api, "jobs", "hold", execution_id, "--job", "film")).stderr
    assert said.startswith("film is pending in the queue test, priority 5: It has been on hold since")
    await command(api, "jobs", "release", "last", "--job", "film")
    await command(api, "jobs", "run-next", "last", "--job", "film")
    await command(api, "jobs", "prioritize", "last", "-3", "--job", "film")
    assert ((await job_of(api, execution_id))["status"], (await job_of(api, execution_id))["priority"]) == (
        "queued",
        -3,
    )
    later = await command_json(api, "jobs", "start-later", "last", "90m", "--job", "film")
    assert timedelta(minutes=88) < datetime.fromisoformat(later["startAt"]) - datetime.now(UTC) < timedelta(minutes=91)
    wrong = await command(api, "jobs", "change-queue", "last", "nowhere", "--job", "film", status=2)
    assert "there is no queue 'nowhere'" in wrong.stderr


async def test_the_console_moves_a_job_and_shows_what_starts_next(api):
    execution_id = await api.submit(("film", "noop", {}))
    job = await job_of(api, execution_id)
    text = await page(api, f"/executions/{execution_id}")
    assert f'action="/jobs/{job["id"]}/moves/hold"' in text and 'name="start_at"' in text

    async def post(move, **fields):
        data = {"token": token_in(text), **fields}
        return await api.client.post(f"/jobs/{job['id']}/moves/{move}", data=data)

    held = await post("hold", **{"from": "queue"})
    queue = await page(api, "/console/queues/test/jobs")
    assert held.headers["location"] == "/console/queues/test/jobs"
    assert "on hold" in queue and f'action="/jobs/{job["id"]}/moves/release"' in queue
    assert "1 on hold" in await page(api, "/console/queues")
    assert "on_hold" in await page(api, f"/executions/{execution_id}")
    assert (
        "on hold" in (own := await page(api, f"/jobs/{job['id']}"))
        and f'action="/jobs/{job["id"]}/moves/release"' in own
    )
    assert (await post("prioritize", priority="3", **{"from": "job"})).headers["location"] == f"/jobs/{job['id']}"
    assert (await post("release")).headers["location"] == f"/executions/{execution_id}"
    assert (await post("prioritize", priority="12")).status_code == 303
    assert (await post("start_later", start_at="2999-01-01T00:00")).status_code == 303
    moved = await job_of(api, execution_id)
    assert (moved["priority"], moved["status"], moved["startAt"]) == (12, "scheduled", "2999-01-01T00:00:00Z")
    for name, fields in (("prioritize", {"priority": "x"}), ("start_later", {"start_at": ""})):
        assert (await post(name, **fields)).status_code == 422
    assert (await post("fly")).status_code == 404
    assert (await api.client.get("/console/queues/nowhere/jobs")).status_code == 404
