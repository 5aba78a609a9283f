"""Jobs that wait for a provider, inserted into a database directly."""

import asyncio

from bench.stores import Stores
from callsheet.db.upgrade import upgrade

_IDS = """
CREATE TEMP TABLE ids AS
SELECT uuidv7(-interval '1 hour' + n * interval '1 ms') AS execution, uuidv7(-interval '1 hour') AS job,
       uuidv7(-interval '1 hour') AS submission, n
FROM generate_series(1, {jobs}) AS n
"""

_EXECUTIONS = """
INSERT INTO executions (id, status, job_count, unfinished, last_event, created_at, started_at)
SELECT execution, 'running', 1, 1, 4, now() - interval '1 hour', now() - interval '1 hour' FROM ids
"""

_JOBS = """
INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params, on_worker_lost,
                            timeout_seconds, max_attempts, epoch, worker_id, worker_name, provider, submission,
                            provider_job_id, provider_job_status, waiting_strategy, next_poll_at, poll_attempts,
                            waiting_until, queued_at, started_at)
SELECT job, execution, 'video', 'generate', 'generate', 5, 'waiting',
       jsonb_build_object('modelId', '{model}', 'prompt', 'A red fox in the snow'), 'resume',
       1800, 10, 1, gen_random_uuid(), 'bench-1', '{provider}', submission,
       'w' || n, '{status}', '{strategy}', now() + interval '1 day', 20,
       now() + interval '1 day', now() - interval '1 hour', now() - interval '1 hour'
FROM ids
"""

_SUBMISSIONS = """
INSERT INTO submissions (id, job, step, epoch, provider, model, token, request_digest, created_at, outcome, accepted_at,
                         provider_job_id, task)
SELECT submission, job, 'submit', 1, '{provider}', '{model}',
       CASE WHEN '{strategy}' = 'webhook' THEN md5(random()::text) || md5(random()::text) END,
       sha256(n::text::bytea), now() - interval '1 hour', 'accepted', now() - interval '1 hour', 'w' || n,
       jsonb_build_object('provider', '{provider}', 'id', 'w' || n, 'handle', '{{}}'::jsonb)
FROM ids
"""

_EVENTS = """
INSERT INTO events (execution_id, number, job_id, type)
SELECT execution, e.number, e.job_id, e.type
FROM ids, (VALUES (1, NULL, 'execution.queued'), (2, NULL, 'execution.running'), (3, 'video', 'job.running'),
                   (4, 'video', 'job.waiting')) AS e (number, job_id, type)
"""


def fill(stores: Stores, dsn: str, jobs: int, *, provider: str, model: str, status: str, strategy: str) -> None:
    """Insert executions of one job each, which wait for the tasks `w1`, `w2`, …. None is due today."""
    asyncio.run(upgrade(dsn))
    values = {"jobs": jobs, "provider": provider, "model": model, "status": status, "strategy": strategy}
    statements = (_IDS, _EXECUTIONS, _JOBS, _SUBMISSIONS, _EVENTS)
    stores.execute(*(statement.format(**values) for statement in statements), dsn=dsn)
    stores.execute("VACUUM (ANALYZE)", "CHECKPOINT", dsn=dsn)


def spread(stores: Stores, dsn: str, interval: float) -> None:
    """Spread the next polls evenly over `interval` seconds, as after a long time of polling."""
    due = f"UPDATE execution_jobs SET next_poll_at = now() + random() * interval '{interval} seconds'"
    stores.execute(due, "VACUUM (ANALYZE) execution_jobs", "CHECKPOINT", dsn=dsn)
