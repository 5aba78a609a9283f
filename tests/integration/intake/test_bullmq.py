"""The intake `bullmq`, with producers of Node.js and a real Redis server."""

import asyncio
import shutil
from contextlib import contextmanager
from datetime import timedelta

import httpx2
import pytest
from playwright.async_api import async_playwright, expect
from tests.support.node import NodeProgram

from callsheet.intake.bullmq.intake import BullMQIntake

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUEUE = "films"


@pytest.fixture
def settings(settings, redis_server):
    return settings.model_copy(
        update={
            "redis_port": redis_server.port,
            "redis_host": "127.0.0.1",
            "bullmq_queues": f"{QUEUE}=plan,video-generation,content-generation,lora-training",
            "bullmq_lock_duration": timedelta(seconds=5),
        }
    )


@contextmanager
def producing(redis_server, version="6", **environment):
    program = NodeProgram("bullmq.mjs", PORT=str(redis_server.port), VERSION=version, **environment)
    try:
        program.ask("listen", queue=QUEUE)
        yield program
    finally:
        program.close()


@pytest.fixture
def node(redis_server):
    with producing(redis_server) as program:
        yield program


def plan(*jobs):
    return {"jobs": list(jobs)}


def noop(name="a", value=1):
    return {"id": name, "operation": "noop", "params": {"value": value}}


@pytest.mark.parametrize("version", ["4", "5", "6"])
async def test_a_job_of_a_node_producer_succeeds_with_its_result(redis_server, start_intake, ask, version):
    with producing(redis_server, version) as node:
        await start_intake(BullMQIntake)
        id = await ask(node, "add", queue=QUEUE, data=plan({"id": "note", "operation": "write", "params": {}}))
        finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
        logs = await ask(node, "logs", queue=QUEUE, id=id)
    result = finished["result"]
    assert result["status"] == "succeeded"
    (artifact,) = result["artifacts"]
    assert (artifact["name"], artifact["jobId"], artifact["size"]) == ("note.txt", "note", 7)
    assert artifact["url"].startswith("http")
    assert logs == [f"Callsheet execution {result['executionId']}"]


async def test_attempts_and_backoff_are_those_of_bullmq_and_each_is_an_execution(engine, node, start_intake, ask):
    await start_intake(BullMQIntake)
    options = {"attempts": 3, "backoff": {"type": "fixed", "delay": 100}}
    data = plan({"id": "a", "operation": "fail", "params": {"times": 9, "message": "no luck", "transient": False}})
    id = await ask(node, "add", queue=QUEUE, data=data, opts=options)
    finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
    job = await ask(node, "job", queue=QUEUE, id=id)
    assert "no luck (job a)" in finished["failed"]
    assert (job["state"], job["attemptsMade"], len(job["stacktrace"])) == ("failed", 3, 3)
    assert "at fail (job a, attempt 1)" in job["stacktrace"][0]
    assert await count(engine, "SELECT count(DISTINCT execution_id) FROM intake_messages") == 3


async def test_a_retry_by_hand_of_a_failed_job_is_a_new_execution(engine, node, start_intake, ask):
    await start_intake(BullMQIntake)
    id = await ask(node, "add", queue=QUEUE, data=plan({"id": "a", "operation": "fail", "params": {"times": 9}}))
    await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
    await ask(node, "retry", queue=QUEUE, id=id)
    await until(lambda: count(engine, "SELECT count(*) FROM intake_messages WHERE closed_at IS NOT NULL"), 2)
    assert await count(engine, "SELECT count(*) FROM executions") == 2


async def test_a_job_longer_than_its_lock_is_run_once(engine, node, start_intake, ask):
    """The lock is 5 s, and a second intake searches stalled jobs all the time."""
    await start_intake(BullMQIntake)
    await start_intake(BullMQIntake)
    id = await ask(node, "add", queue=QUEUE, data=plan({"id": "a", "operation": "sleep", "params": {"seconds": 16}}))
    finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
    events = [event["kind"] for event in await ask(node, "events", queue=QUEUE)]
    assert finished["result"]["status"] == "succeeded"
    assert "stalled" not in events and events.count("active") == 1
    assert await count(engine, "SELECT count(*) FROM executions") == 1


async def test_progress_reaches_the_queue(node, start_intake, ask):
    await start_intake(BullMQIntake)
    job = {"id": "a", "operation": "report-progress", "params": {"reports": 5, "pause": 0.7}}
    id = await ask(node, "add", queue=QUEUE, data=plan(job))
    await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
    progress = [event["data"] for event in await ask(node, "events", queue=QUEUE) if event["kind"] == "progress"]
    assert progress and progress == sorted(progress) and all(0 < each <= 100 for each in progress)


async def test_bull_board_shows_progress_result_and_failure(node, start_intake, ask, tmp_path):
    await start_intake(BullMQIntake)
    port = await ask(node, "board", queue=QUEUE)
    steps = {"id": "steps", "operation": "report-progress", "params": {"reports": 4, "pause": 0.5}}
    held = {"id": "held", "operation": "block", "params": {"until": str(tmp_path / "end")}, "dependsOn": ["steps"]}
    done = await ask(node, "add", queue=QUEUE, name="steps", data=plan(steps, held))
    bad = plan({"id": "a", "operation": "fail", "params": {"message": "no luck"}})
    failed = await ask(node, "add", queue=QUEUE, name="bad", data=bad)

    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/board", trust_env=False) as board:

        async def shown(id):
            page = (await board.get(f"/api/queues/{QUEUE}/{id}")).raise_for_status().json()
            return page["job"], page["status"]

        async def is_half_done():
            job, status = await shown(done)
            return status == "active" and (job["progress"] or 0) >= 50

        await until(is_half_done, True)
        (tmp_path / "end").touch()
        await ask(node, "finished", queue=QUEUE, id=done, timeout=60_000)
        await ask(node, "finished", queue=QUEUE, id=failed, timeout=60_000)
        (succeeded, status), (failure, failed_status) = await shown(done), await shown(failed)
        logs = (await board.get(f"/api/queues/{QUEUE}/{done}/logs")).json()
        queue = (await board.get("/api/queues", params={"activeQueue": QUEUE, "status": "failed"})).json()["queues"][0]

    result = succeeded["returnValue"]
    assert (status, succeeded["name"], succeeded["progress"]) == ("completed", "steps", 50)
    assert logs == [f"Callsheet execution {result['executionId']}"]
    assert (result["status"], result["artifacts"]) == ("succeeded", [])
    assert (failed_status, failure["isFailed"]) == ("failed", True)
    assert "no luck (job a)" in failure["failedReason"]
    assert "at fail (job a, attempt 1)" in failure["stacktrace"][0]
    assert (queue["counts"]["completed"], queue["counts"]["failed"]) == (1, 1)
    assert [job["id"] for job in queue["jobs"]] == [failed]


async def test_invalid_jobs_fail_at_once_with_all_problems(engine, node, start_intake, ask):
    await start_intake(BullMQIntake)
    data = plan(noop(), {"id": "a", "operation": "nothing"}, {"operation": "noop"})
    id = await ask(node, "add", queue=QUEUE, data=data, opts={"attempts": 5})
    finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
    job = await ask(node, "job", queue=QUEUE, id=id)
    assert "3 problems" in finished["failed"]
    assert (job["state"], job["attemptsMade"]) == ("failed", 1)
    assert "jobs[1].operation" in job["stacktrace"][0] and "jobs[2].id" in job["stacktrace"][0]
    assert await count(engine, "SELECT count(*) FROM executions") == 0


@pytest.mark.parametrize("field", ["data", "opts", "stacktrace", "progress", "attemptsMade"])
async def test_a_job_that_no_client_can_read_fails_and_the_intake_goes_on(node, start_intake, ask, field):
    await ask(node, "addBroken", queue=QUEUE, fields={"data": "7", field: '{"jobs": ['})
    await start_intake(BullMQIntake)
    good = await ask(node, "add", queue=QUEUE, data=plan(noop()))
    assert (await ask(node, "finished", queue=QUEUE, id=good, timeout=60_000))["result"]["status"] == "succeeded"
    await until(lambda: ask(node, "counts", queue=QUEUE), lambda counts: (counts["failed"], counts["active"]) == (1, 0))


async def test_priorities_are_those_of_bullmq(engine, node, start_intake, ask):
    """BullMQ takes 0 first, then 1, 2, 3: the intake takes jobs in this order."""
    for priority in (3, 1, 2):
        await ask(node, "add", queue=QUEUE, data=plan(noop(value=priority)), opts={"priority": priority})
    await ask(node, "add", queue=QUEUE, data=plan(noop(value=0)))
    await start_intake(BullMQIntake)
    await until(lambda: count(engine, "SELECT count(*) FROM intake_messages WHERE closed_at IS NOT NULL"), 4)
    query = """SELECT array_agg((j.params ->> 'value')::int ORDER BY e.id)::text
               FROM execution_jobs j JOIN executions e ON e.id = j.execution_id"""
    assert await count(engine, query) == "{0,1,2,3}"


async def test_the_workers_of_the_queue_are_visible(node, start_intake, ask):
    await start_intake(BullMQIntake)
    assert await until(lambda: ask(node, "workers", queue=QUEUE), lambda found: found >= 1)


async def test_a_restart_of_redis_loses_no_job_and_runs_none_twice(engine, redis_server, node, start_intake, ask):
    await start_intake(BullMQIntake)
    ids = []
    for _ in range(20):
        ids.append(
            await ask(node, "add", queue=QUEUE, data=plan({"id": "a", "operation": "sleep", "params": {"seconds": 2}}))
        )
    await until(lambda: count(engine, "SELECT count(*) FROM intake_messages"), 20)
    redis_server.kill()
    await until(lambda: count(engine, "SELECT count(*) FROM executions WHERE status = 'succeeded'"), 20)
    redis_server.start()
    for id in ids:
        finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
        assert finished["result"]["status"] == "succeeded"
    assert await count(engine, "SELECT count(*) FROM executions") == 20


async def test_the_successor_of_a_killed_intake_reports_without_a_redelivery(engine, node, start_intake, ask):
    first, task = await start_intake(BullMQIntake)
    data = plan({"id": "a", "operation": "sleep", "params": {"seconds": 3}})
    id = await ask(node, "add", queue=QUEUE, data=data)
    await until(lambda: count(engine, "SELECT count(*) FROM intake_messages"), 1)
    first.stop()
    await asyncio.wait({task})
    await start_intake(BullMQIntake)
    finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
    assert finished["result"]["status"] == "succeeded"
    assert [event["kind"] for event in await ask(node, "events", queue=QUEUE)].count("active") == 1
    assert await count(engine, "SELECT count(*) FROM executions") == 1


async def test_a_cancelled_execution_fails_its_job_for_good(engine, node, start_intake, ask):
    await start_intake(BullMQIntake)
    data = plan({"id": "a", "operation": "sleep", "params": {"seconds": 60}})
    id = await ask(node, "add", queue=QUEUE, data=data, opts={"attempts": 5})
    await until(lambda: count(engine, "SELECT count(*) FROM executions WHERE status = 'running'"), 1)
    await engine.cancel(await count(engine, "SELECT id FROM executions"))
    finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
    assert finished == {"failed": "cancelled"}


async def count(engine, query):
    async with engine.runtime.database.connection() as connection:
        return await connection.fetchval(query)


async def until(read, expected, timeout=60):
    """Wait until a read returns the expected value."""
    matches = expected if callable(expected) else lambda found: found == expected
    async with asyncio.timeout(timeout):
        while not matches(found := await read()):  # noqa: ASYNC110 - the state is in another process
            await asyncio.sleep(0.05)
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
async def test_bull_board_in_a_browser_shows_the_result_and_the_stack(node, start_intake, ask):
    await start_intake(BullMQIntake)
    port = await ask(node, "board", queue=QUEUE)
    done = await ask(node, "add", queue=QUEUE, name="good", data=plan(noop()))
    bad = plan({"id": "a", "operation": "fail", "params": {"message": "no luck"}})
    failed = await ask(node, "add", queue=QUEUE, name="bad", data=bad)
    result = (await ask(node, "finished", queue=QUEUE, id=done, timeout=60_000))["result"]
    await ask(node, "finished", queue=QUEUE, id=failed, timeout=60_000)

    expect.set_options(timeout=60_000)
    async with async_playwright() as playwright:
        # Containers often run tests as root, where Chromium's own sandbox does not start.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=60_000)
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{port}/board/queue/{QUEUE}/{done}")
        await expect(page.locator("body")).to_contain_text(
            f'executionId:"{result["executionId"]}"', use_inner_text=False
        )
        await page.goto(f"http://127.0.0.1:{port}/board/queue/{QUEUE}/{failed}")
        await expect(page.locator("body")).to_contain_text("Error: job_failed: no luck (job a)")
        await expect(page.locator("body")).to_contain_text("at fail (job a, attempt 1)")
        assert await page.title() == "Bull Dashboard"
        await browser.close()
