"""The audits of the chaos program report planted faults, so that a clean report means something."""

from types import SimpleNamespace

import asyncpg
import pytest
from tests.chaos.audit import doubled_faults
from tests.chaos.event_audit import event_faults
from tests.chaos.payment_audit import payment_faults

from callsheet.fakes.providers.luma import FakeLuma
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL


@pytest.fixture
async def connection(settings, database_url):
    """A connection to a database with one ended execution of two jobs."""
    async with running_engine(ALL, settings=settings) as engine:
        jobs = [{"id": "a", "operation": "noop"}, {"id": "b", "operation": "noop", "dependsOn": ["a"]}]
        await engine.run({"jobs": jobs}, metadata={"order": "order-1"})
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.execute("TRUNCATE events")  # The planted faults are no events that Callsheet has stored.
    await connection.close()


async def test_sound_events_are_no_fault(connection):
    assert await event_faults(connection) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM events WHERE number = 2", ["the numbers have gaps"]),
        (
            "UPDATE events SET type = 'job.succeeded' WHERE job_id = 'b' AND type = 'job.running'",
            ["job.succeeded after its end"],
        ),
        (
            "UPDATE events SET type = 'job.running' WHERE job_id = 'b' AND type = 'job.queued'",
            ["started while it ran"],
        ),
        (
            "UPDATE execution_jobs SET status = 'failed' WHERE job_id = 'b'",
            ["its status is failed, and its last event job.succeeded"],
        ),
        (
            "UPDATE executions SET status = 'failed'",
            ["its status is failed, and its last event execution.succeeded"],
        ),
    ],
    ids=["missing", "ended twice", "started twice", "job event", "execution event"],
)
async def test_planted_faults_of_events_are_found(connection, change, expected):
    await connection.execute(change)

    faults = await event_faults(connection)

    assert [fault.partition(": ")[2] for fault in faults] == expected


async def test_two_executions_for_one_key_and_two_successful_runs_are_found(connection):
    client = SimpleNamespace(orders=[])
    assert await doubled_faults(connection, client) == []

    await connection.execute("""
        INSERT INTO executions (id, job_count, unfinished, metadata)
        SELECT gen_random_uuid(), 1, 0, metadata FROM executions;
        INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params,
                                    timeout_seconds, max_attempts)
        SELECT gen_random_uuid(), id, 'a', 'noop', 'test', 0, 'succeeded', '{}', 1, 1 FROM executions
        WHERE finished_at IS NULL;
        INSERT INTO events (execution_id, number, job_id, type)
        SELECT execution_id, number + 100, job_id, type FROM events WHERE job_id = 'b' AND type = 'job.succeeded'""")

    key, runs = await doubled_faults(connection, client)

    assert key == "order-1: 2 executions stored"
    assert runs.endswith("b: 2 successful runs")


async def test_a_task_that_was_paid_without_a_submission_is_found(connection):
    async with FakeLuma() as luma:
        system = SimpleNamespace(providers={"luma": luma}, comfyui=SimpleNamespace(accepted=["p", "p"]))
        client = SimpleNamespace(interventions=SimpleNamespace(retried=[]))
        await luma.accept("ray-3.2", {"prompt": "order-1"})

        faults = await payment_faults(connection, system, client)

    assert faults == ["order-1: 1 tasks paid for 0 submissions", "ComfyUI prompt p: accepted 2 times"]
