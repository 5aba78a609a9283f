"""Throughput and pick-up time with a million finished jobs in the tables, against empty tables."""

import asyncio
from collections.abc import Callable
from statistics import median

from bench.machine import busy_share
from bench.pickup import measure
from bench.report import Finding, Row, Verdict, percentile
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import CALLSHEET, session
from callsheet.db.upgrade import upgrade

PROMISED_CHANGE = 0.20
JOBS_IN_A_PLAN = 10
PICKUP_ROUNDS = 3

_EXECUTIONS = """
CREATE TEMP TABLE made AS
SELECT uuidv7(-interval '1 day' + n * interval '1 ms') AS id, n FROM generate_series(1, {executions}) AS n
"""

_INSERT_EXECUTIONS = """
INSERT INTO executions (id, status, job_count, unfinished, last_event, created_at, started_at, finished_at)
SELECT id, '{execution_status}', {jobs}, {unfinished}, {last_event}, now() - interval '1 day',
       now() - interval '1 day', {finished_at}
FROM made
"""

_INSERT_JOBS = """
INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params, result, progress,
                            timeout_seconds, max_attempts, attempts, epoch, worker_id, worker_name, scheduled_at,
                            waiting_strategy, next_poll_at, provider_job_id, queued_at, started_at, finished_at)
SELECT uuidv7(-interval '1 day' + made.n * interval '1 ms'), made.id, 'j' || k, 'noop', 'bench', 5, '{status}',
       jsonb_build_object('n', k), {result}, {progress}, 600, 3, {attempts}, 1, gen_random_uuid(), 'bench-1',
       {scheduled_at}, {strategy}, {poll_at}, {provider_job}, now() - interval '1 day', now() - interval '1 day',
       {finished_at}
FROM made, generate_series(1, {jobs}) AS k
"""

_EVENTS = """
INSERT INTO events (execution_id, number, job_id, type, data)
SELECT made.id, e.number, e.job_id, e.type, e.data
FROM made, (
    SELECT 1 AS number, NULL AS job_id, 'execution.queued' AS type, jsonb_build_object('jobs', {jobs}) AS data
    UNION ALL SELECT 2, NULL, 'execution.running', NULL
    UNION ALL SELECT 2 + k, 'j' || k, 'job.running', '{{"attempt": 1, "epoch": 1, "worker": "bench-1"}}'::jsonb
              FROM generate_series(1, {jobs}) AS k
    UNION ALL SELECT 2 + {jobs} + k, 'j' || k, 'job.{status}', NULL FROM generate_series(1, {jobs}) AS k
    UNION ALL SELECT 3 + 2 * {jobs}, NULL, 'execution.succeeded', NULL WHERE '{status}' = 'succeeded'
) AS e
"""

_FINISHED = {
    "status": "succeeded",
    "execution_status": "succeeded",
    "unfinished": 0,
    "last_event": 3 + 2 * JOBS_IN_A_PLAN,
    "result": "jsonb_build_object('n', k)",
    "progress": 1,
    "attempts": 0,
    "scheduled_at": "NULL",
    "strategy": "NULL",
    "poll_at": "NULL",
    "provider_job": "NULL",
    "finished_at": "now() - interval '1 day'",
}
_UNFINISHED = _FINISHED | {
    "execution_status": "running",
    "unfinished": JOBS_IN_A_PLAN,
    "last_event": 2 + 2 * JOBS_IN_A_PLAN,
    "result": "NULL",
    "progress": 0,
    "finished_at": "NULL",
}
_LATER = "now() + interval '1 day' + k * interval '1 second'"
_SCHEDULED = _UNFINISHED | {"status": "scheduled", "attempts": 1, "scheduled_at": _LATER}
_WAITING = _UNFINISHED | {
    "status": "waiting",
    "strategy": "'polling'",
    "poll_at": _LATER,
    "provider_job": "gen_random_uuid()::text",
}


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure both, one after the other in every round."""
    finding = Finding(
        "full-tables",
        f"Beside {sizes.finished:,} finished, {sizes.scheduled:,} scheduled and {sizes.waiting:,} waiting jobs; "
        f"{sizes.jobs:,} jobs, median of {sizes.rounds}",
        ["empty tables", "full tables", "change"],
    )
    rates: dict[bool, list[float]] = {False: [], True: []}
    waits: dict[bool, list[float]] = {False: [], True: []}
    with stores.database() as full:
        progress("filling the tables")
        fill(stores, full, sizes)
        for number in range(sizes.rounds):
            for is_full in (False, True):
                progress(f"round {number + 1}/{sizes.rounds}: {'full' if is_full else 'empty'} tables")
                with session(CALLSHEET, stores, store=full if is_full else None, warm_up=sizes.warm_up) as running:
                    finding.noise.append(busy_share())
                    moments = running.client.ask("bulk", jobs=sizes.jobs, per_plan=1)
                    rates[is_full].append(sizes.jobs / (moments["ended"] - moments["began"]))
                    if number < PICKUP_ROUNDS:
                        waits[is_full] += measure(running, max(10, sizes.pickups // PICKUP_ROUNDS), sizes.pause)
        size = stores.value("SELECT pg_size_pretty(pg_database_size(current_database()))", full)
    finding.notes = [f"The full database is {size} large."]
    _compare(finding, "jobs/s", rates, "{:,.0f}", 1, median)
    _compare(finding, "pick-up, median, ms", waits, "{:.2f}", 1000, median)
    _compare(finding, "pick-up, 95 %, ms", waits, "{:.2f}", 1000, lambda values: percentile(values, 0.95))
    return finding


def fill(stores: Stores, dsn: str, sizes: Sizes) -> None:
    """Fill a database with history and with jobs whose time has not come, as if they had been lived through."""
    asyncio.run(upgrade(dsn))
    for kind, jobs in ((_FINISHED, sizes.finished), (_SCHEDULED, sizes.scheduled), (_WAITING, sizes.waiting)):
        values = {**kind, "jobs": JOBS_IN_A_PLAN, "executions": jobs // JOBS_IN_A_PLAN}
        statements = (_EXECUTIONS, _INSERT_EXECUTIONS, _INSERT_JOBS, _EVENTS)
        stores.execute(*(statement.format(**values) for statement in statements), dsn=dsn)
    stores.execute("VACUUM (ANALYZE)", "CHECKPOINT", dsn=dsn)


def _compare(
    finding: Finding,
    name: str,
    found: dict[bool, list[float]],
    style: str,
    factor: float,
    figure: Callable[[list[float]], float],
) -> None:
    empty, full = figure(found[False]) * factor, figure(found[True]) * factor
    change = full / empty - 1
    finding.rows.append(
        Row(
            name,
            [style.format(empty), style.format(full), f"{change:+.0%}"],
            {"change": change, "emptyAll": found[False], "fullAll": found[True]},
        )
    )
    finding.verdicts.append(
        Verdict(f"{name}: changed by at most 20 %", f"{change:+.0%}", abs(change) <= PROMISED_CHANGE)
    )
