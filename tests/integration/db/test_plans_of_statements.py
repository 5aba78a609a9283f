"""Query plans of the frequent statements on full tables."""

import asyncio
import json
import os

import asyncpg
import pytest

from callsheet.db.statements import sql
from callsheet.domain.ids import new_id

MANY = {"succeeded": 150_000, "scheduled": 60_000, "waiting": 60_000, "queued": 30_000, "running": 400}
BUSY = new_id()
LOST = new_id()

LOAD = """
    INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params, timeout_seconds,
                                max_attempts, scheduled_at, next_poll_at, worker_id, epoch, queued_at, started_at,
                                provider, submission, waiting_until)
    SELECT gen_random_uuid(), md5((n / 10)::text || $2)::uuid, 'job-' || n, 'noop', 'test', n % 3, $2, '{}', 60, 3,
           CASE $2 WHEN 'scheduled' THEN now() + make_interval(mins => n) END,
           CASE $2 WHEN 'waiting' THEN now() + make_interval(mins => n - 40) END,
           CASE $2 WHEN 'running' THEN $3::uuid END, 1, now(), now(),
           CASE $2 WHEN 'waiting' THEN 'toy' END, CASE $2 WHEN 'waiting' THEN gen_random_uuid() END,
           CASE $2 WHEN 'waiting' THEN now() + interval '1 day' END
    FROM generate_series(1, $1) AS n"""


SUBMISSIONS = """
    INSERT INTO submissions (id, job, step, epoch, provider, model, token, request_digest, outcome, provider_job_id,
                             task, cancel_at)
    SELECT coalesce(submission, gen_random_uuid()), id, 'submit', 1, 'toy', 'crayon', 'secret', 'x', 'accepted',
           id::text, '{}', CASE WHEN number % 1000 = 0 THEN now() - interval '1 minute' END
    FROM execution_jobs WHERE status IN ('waiting', 'succeeded', 'running')"""


async def _load(dsn):
    connection = await asyncpg.connect(dsn)
    # Creating the indexes after the load halves the time.
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'execution_jobs' AND indexdef LIKE '% WHERE %'"
    )
    for row in indexes:
        await connection.execute(f"DROP INDEX {row['indexname']}")
    for status, number in MANY.items():
        await connection.execute(LOAD, number, status, BUSY)
    for row in indexes:
        await connection.execute(row["indexdef"])
    await connection.execute(
        "INSERT INTO executions (id, job_count, unfinished, last_event) "
        "SELECT DISTINCT execution_id, 10, 10, 1 FROM execution_jobs"
    )
    await connection.execute(
        "INSERT INTO events (execution_id, number, type, data) "
        """SELECT id, 1, 'execution.queued', '{"jobs": 10}' FROM executions"""
    )
    await connection.execute(SUBMISSIONS)
    await connection.execute(
        "INSERT INTO edges SELECT id, lead(id) OVER (ORDER BY number) FROM execution_jobs WHERE status = 'succeeded' "
        "LIMIT 100000"
    )
    for worker, name in ((BUSY, "busy"), (LOST, "lost")):
        await sql.register_worker(
            connection,
            id=worker,
            name=name,
            host="here",
            pid=os.getpid(),
            version="0",
            lanes="{}",
            operations=["noop"],
            missing="{}",
            timeout=30,
            only_reserved=False,
        )
    await connection.execute(
        "INSERT INTO outbox (url, type, data, due_at, delivered_at) "
        "SELECT 'https://example.com/', 'execution.succeeded', '{}', now() - interval '1 hour', "
        "CASE WHEN n > 3000 THEN now() END FROM generate_series(1, 30000) n"
    )
    await connection.execute("VACUUM (ANALYZE)")
    await connection.close()
    return dsn


@pytest.fixture(scope="module")
def full(new_shared_database):
    """The DSN of a database with many jobs of each status."""
    return asyncio.run(_load(new_shared_database()))


@pytest.fixture(params=[0, 6], ids=["first call", "seventh call"])
async def connection(full, request):
    """A connection. From the sixth call on, PostgreSQL may use a generic plan."""
    connection = await asyncpg.connect(full, timeout=60)
    CALLS_BEFORE[connection] = request.param
    yield connection
    del CALLS_BEFORE[connection]
    await connection.close()


CALLS_BEFORE = {}


async def explain(connection, statement, **values):
    """Run a statement and roll it back. Return the nodes of its plan and the number of blocks that it read."""
    literals = ", ".join(_literal(values[name]) for name in statement.parameters)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"PREPARE explained AS {statement.text}")
        call = f"EXECUTE explained{f'({literals})' if literals else ''}"
        for _ in range(CALLS_BEFORE[connection]):
            await connection.execute(call)
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}")
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE explained")
    plan = json.loads(text)[0]["Plan"]
    return list(_nodes(plan)), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def _literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "'{" + ",".join(map(str, value)) + "}'"
    return f"'{value}'"


def _nodes(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def scans(nodes, table):
    return {node["Node Type"] for node in nodes if node.get("Relation Name") == table and "Scan" in node["Node Type"]}


def indexes(nodes):
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def sorts_many(nodes, limit):
    return [n for n in nodes if n["Node Type"] == "Sort" and n["Actual Rows"] * n["Actual Loops"] > limit]


async def test_a_claim_uses_only_the_index_of_queued_jobs(connection):
    nodes, blocks = await explain(
        connection,
        sql.claim,
        queue="test",
        operations=["noop", "sleep"],
        limits_checked=False,
        free=8,
        only=None,
        suspects=False,
        suspect_from=2,
        worker_id=BUSY,
        worker_name="busy",
    )

    assert "execution_jobs_queued" in indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "execution_jobs") | scans(nodes, "executions")
    assert sorts_many(nodes, 8) == []
    assert blocks < 1_000


async def test_a_claim_from_an_empty_queue_reads_few_blocks(connection):
    nodes, blocks = await explain(
        connection,
        sql.claim,
        queue="nothing",
        operations=["noop"],
        limits_checked=False,
        free=8,
        only=None,
        suspects=False,
        suspect_from=2,
        worker_id=BUSY,
        worker_name="busy",
    )

    assert "Seq Scan" not in scans(nodes, "execution_jobs")
    assert blocks < 60


async def test_the_scheduler_reads_only_due_jobs(connection):
    nodes, blocks = await explain(connection, sql.due_jobs, limit=500)

    assert indexes(nodes) == {"execution_jobs_scheduled"}
    assert blocks < 20


async def test_the_poller_reads_only_due_jobs(connection):
    nodes, blocks = await explain(connection, sql.claim_polls, providers=["toy"], slots=[100], lease=180.0, only=None)

    assert {"execution_jobs_waiting", "submissions_pkey"} <= indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "execution_jobs") | scans(nodes, "submissions")
    assert sorts_many(nodes, 100) == []
    assert blocks < 1_500


async def test_overdue_jobs_are_searched_among_waiting_jobs(connection):
    nodes, blocks = await explain(connection, sql.claim_overdue, limit=100, lease=180.0, only=None)

    assert "execution_jobs_waiting" in indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "execution_jobs")
    assert blocks < 1_500


async def test_poll_results_touch_only_their_jobs(connection):
    rows = await connection.fetch("SELECT id FROM execution_jobs WHERE status = 'waiting' LIMIT 20")
    number = len(rows)

    nodes, blocks = await explain(
        connection,
        sql.record_polls,
        ids=[row["id"] for row in rows],
        epochs=[1] * number,
        collects=["false"] * number,
        statuses=["drawing"] * number,
        progress=["0.5"] * number,
        polls=[1] * number,
        delays=[60.0] * number,
    )

    assert scans(nodes, "execution_jobs") == {"Index Scan"}
    assert blocks < 1_500


async def test_due_cancels_are_found_by_their_index(connection):
    nodes, blocks = await explain(
        connection, sql.claim_provider_cancels, limit=50, lease=120.0, unconfigured=[], only=None
    )

    assert "submissions_to_cancel" in indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "submissions") | scans(nodes, "execution_jobs")
    assert blocks < 2_000


async def test_submissions_of_a_job_are_found_by_their_index(connection):
    job = await connection.fetchrow("SELECT id, submission FROM execution_jobs WHERE status = 'waiting' LIMIT 1")
    statements = {
        sql.open_submission: {"job": job["id"], "step": "submit"},
        sql.submissions_of_job: {"job": job["id"]},
        sql.request_provider_cancel: {"jobs": [job["id"]]},
        sql.close_submissions: {"jobs": [job["id"]], "resubmit": True},
        sql.submission_time_left: {"job": job["id"], "submission": job["submission"], "deadline": 60.0},
        sql.release_after_webhook: {"job": job["id"], "submission": job["submission"]},
        sql.end_submission: {
            "id": job["submission"],
            "epoch": 1,
            "ended": "succeeded",
            "status": "done",
            "cost": 1.0,
            "seconds": 1.0,
        },
    }

    for statement, values in statements.items():
        nodes, blocks = await explain(connection, statement, **values)

        assert "Seq Scan" not in scans(nodes, "submissions") | scans(nodes, "execution_jobs"), statement.name
        assert blocks < 100, statement.name


async def test_the_sender_reads_only_its_window_of_due_webhooks(connection):
    nodes, blocks = await explain(connection, sql.lock_due_webhooks, alerts=True, limit=500)

    assert "outbox_due" in indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "outbox")
    assert sorts_many(nodes, 500) == []
    assert blocks < 3_000


async def test_the_rescuer_reads_only_running_jobs(connection):
    nodes, blocks = await explain(connection, sql.orphaned_jobs, limit=500)

    assert "Seq Scan" not in scans(nodes, "execution_jobs")
    assert indexes(nodes) & {"execution_jobs_running"}
    assert blocks < 600


async def test_a_heartbeat_reads_only_the_running_jobs_of_its_worker(connection):
    for worker, limit in ((BUSY, 600), (LOST, 60)):
        nodes, blocks = await explain(
            connection, sql.check_runs, worker_id=worker, ids=[new_id()], epochs=[1], min_age=30.0
        )

        assert "Seq Scan" not in scans(nodes, "execution_jobs")
        assert blocks < limit


async def test_children_done_reads_only_the_edges_of_the_job(connection):
    job = await connection.fetchval("SELECT downstream FROM edges LIMIT 1")

    nodes, blocks = await explain(connection, sql.children_done, id=job, job_id="job-1")

    assert scans(nodes, "edges") | scans(nodes, "execution_jobs") <= {"Index Scan", "Index Only Scan"}
    assert blocks < 20


async def test_skipped_jobs_are_found_along_the_edges(connection):
    job = await connection.fetchval("SELECT upstream FROM edges LIMIT 1")

    nodes, blocks = await explain(connection, sql.skip_downstream, upstream=[job])

    assert "Seq Scan" not in scans(nodes, "edges") | scans(nodes, "execution_jobs")
    assert blocks < 40


async def test_child_jobs_are_stored_without_reading_other_jobs(connection):
    if CALLS_BEFORE[connection]:  # inserts the same ids, so it cannot be repeated
        CALLS_BEFORE[connection] = 0
        await connection.execute("SET plan_cache_mode = force_generic_plan")
    parent = await connection.fetchrow("SELECT id, execution_id FROM execution_jobs WHERE status = 'running' LIMIT 1")

    nodes, blocks = await explain(
        connection,
        sql.insert_child_jobs,
        ids=[new_id()],
        parents=[parent["id"]],
        execution_ids=[parent["execution_id"]],
        job_ids=["job-1/a"],
        operations=["noop"],
        queues=["test"],
        priorities=[1],
        params=['"{}"'],
        on_worker_lost=["retry"],
        timeouts=[60.0],
        max_attempts=[3],
    )

    assert scans(nodes, "executions") == {"Index Scan"}
    assert blocks < 100


async def test_the_fallback_poll_reads_one_index_row_per_queue(connection):
    nodes, blocks = await explain(connection, sql.ready_queues, queues=["test", "nothing", "render", "default"])

    assert "Seq Scan" not in scans(nodes, "execution_jobs")
    assert blocks < 40


async def test_queue_counts_do_not_read_ended_jobs(connection):
    nodes, _ = await explain(connection, sql.queue_counts)

    assert "Seq Scan" not in scans(nodes, "execution_jobs")
    assert {f"execution_jobs_{status}" for status in ("queued", "running", "scheduled", "waiting")} <= indexes(nodes)


async def test_followed_events_are_found_by_the_keys_of_their_executions(connection):
    rows = await connection.fetch("SELECT id FROM executions LIMIT 50")

    nodes, blocks = await explain(
        connection,
        sql.followed_events,
        ids=[row["id"] for row in rows],
        after=[0] * len(rows),
        limit=100,
        max_bytes=2**20,
    )

    assert "Seq Scan" not in scans(nodes, "executions") | scans(nodes, "events")
    assert blocks < 600


# All open messages may be read to renew some, but only once.
@pytest.mark.parametrize(
    ("statement", "limit"), [(sql.close_messages, 100), (sql.renew_messages, 5000)], ids=["close", "renew"]
)
async def test_a_plan_made_for_few_messages_is_good_for_many(database_url, statement, limit):
    connection = await asyncpg.connect(database_url, timeout=60)
    owner = new_id()
    fill = """INSERT INTO intake_messages (intake, source, message_id, attempt, execution_id, claim, product_id, owner,
                                           owned_until)
              SELECT 'a', 'b', n::text, '1', gen_random_uuid(), '{}', '', $3, now()
              FROM generate_series($1::int, $2::int) AS n"""
    ids = [str(number) for number in range(1, 21)]
    values = {
        "intakes": ["a"] * 20,
        "sources": ["b"] * 20,
        "message_ids": ids,
        "attempts": ["1"] * 20,
        "owners": [owner] * 20,
        "reported": [1] * 20,
        "lease": 5,
    }
    call = f"EXECUTE explained({', '.join(_literal(values[name]) for name in statement.parameters)})"
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL session_replication_role = replica")  # executions are not needed
        await connection.execute(f"PREPARE explained AS {statement.text}")
        await connection.execute(fill, 1, 100, owner)
        for _ in range(6):
            await connection.execute(call)
        await connection.execute(fill, 101, 5000, owner)
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}")
    finally:
        await transaction.rollback()
        await connection.close()
    nodes = list(_nodes(json.loads(text)[0]["Plan"]))

    assert all(node["Actual Rows"] * node["Actual Loops"] <= limit for node in nodes)
    assert "Seq Scan" not in scans(nodes, "intake_messages")


LISTED = {"before": None, "first_id": None, "last_id": None, "statuses": None, "operation": None, "queue": None}


@pytest.mark.parametrize("change", [{}, {"operation": "rare"}, {"statuses": ["skipped"]}, {"queue": "odd"}])
async def test_a_list_of_jobs_reads_its_groups_and_not_the_history(connection, change):
    nodes, _ = await explain(connection, sql.list_job_ids, **{**LISTED, **change}, limit=51)

    ended = [node for node in nodes if node.get("Index Name") == "execution_jobs_listed"]
    assert ended and sum(node["Actual Rows"] * node["Actual Loops"] for node in ended) < 1000
    assert "execution_jobs_pkey" not in indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "execution_jobs")


async def test_failed_jobs_are_found_by_the_code_of_their_error(connection):
    nodes, _ = await explain(connection, sql.list_failed_job_ids, **LISTED, error_code="rare", limit=51)

    assert "execution_jobs_failed" in indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "execution_jobs")


@pytest.mark.parametrize(("change", "index"), [({"kind": "audio"}, "kind"), ({"name": "rare.wav"}, "name")])
async def test_artifacts_with_rare_values_are_found_by_their_index(connection, change, index):
    await connection.execute(
        "INSERT INTO artifacts (id, execution_id, job, name, key, media_type, size, sha256) "
        "SELECT id, execution_id, id, 'film.mp4', id::text, 'video/mp4', 1, 'x' FROM execution_jobs "
        "WHERE status = 'succeeded' LIMIT 50000 ON CONFLICT DO NOTHING"
    )
    await connection.execute("ANALYZE artifacts")
    given = {"before": None, "first_id": None, "last_id": None, "execution_id": None, "kind": None, "name": None}

    nodes, _ = await explain(connection, sql.list_artifacts, **{**given, **change}, limit=51)

    assert f"artifacts_by_{index}" in indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "artifacts")


async def test_queued_jobs_of_a_queue_are_read_in_their_order(connection):
    nodes, _ = await explain(connection, sql.next_jobs_of_queue, queue="test", limit=50)

    assert {"execution_jobs_queued", "execution_jobs_on_hold", "execution_jobs_scheduled"} <= indexes(nodes)
    assert "Seq Scan" not in scans(nodes, "execution_jobs")
