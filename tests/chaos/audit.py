"""What must hold when all faults are over: every accepted plan has ended, once, as it may."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg
from tests.chaos.callback_audit import callback_faults
from tests.chaos.event_audit import event_faults
from tests.chaos.file_audit import file_faults
from tests.chaos.load import Client, Order
from tests.chaos.payment_audit import failed_tasks, payment_faults
from tests.chaos.processes import marked_processes
from tests.chaos.system import System

_PROVIDER_KINDS = ("webhook", "polling", "upload")
_DOCUMENTED_FAILURES = {
    "disk_full": None,
    "submission_unknown": _PROVIDER_KINDS,
    "provider_unreachable": (*_PROVIDER_KINDS, "comfyui"),
    "provider_rate_limited": _PROVIDER_KINDS,
    "source_unreachable": _PROVIDER_KINDS,
    "prompt_lost": ("comfyui",),
}
"""Error codes with which jobs may end under these faults, and the kinds of plans that may; None: all.

The documentation says that these outages use up attempts. `provider_failed` is allowed where the fake's own record
shows that the task failed.
"""
_ENDED = ("succeeded", "failed", "cancelled", "skipped")


@dataclass
class Findings:
    """The result of an audit."""

    counts: dict[str, int] = field(default_factory=dict)
    """What was counted, in the order of the table."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Kind of fault → descriptions. A run passes if all lists are empty."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Jobs by final status, of failed ones with the error code and the kind of the plan."""

    @property
    def passed(self) -> bool:
        """Whether there is no fault."""
        return not any(self.faults.values())


async def wait_until_ended(system: System, timeout: float) -> None:
    """Wait until no execution is unfinished and no callback is due, or the time is over."""
    deadline = time.monotonic() + timeout
    connection = await asyncpg.connect(system.dsn, server_settings={"search_path": "callsheet"})
    try:
        while time.monotonic() < deadline:
            open_rows = await connection.fetchval("""
                SELECT (SELECT count(*) FROM executions WHERE finished_at IS NULL)
                     + (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND failed_at IS NULL)""")
            if open_rows == 0:
                return
            await asyncio.sleep(0.3)
    finally:
        await connection.close()


async def audit(system: System, client: Client, unaccepted: list[Order]) -> Findings:
    """Audit the database, the storage and the records of the fakes, then stop the programs and look for remains."""
    findings = Findings()
    connection = await asyncpg.connect(system.dsn, server_settings={"search_path": "callsheet"})
    try:
        jobs = await connection.fetch(_JOBS)
        kinds = {order.key: order.kind for order in client.orders}
        findings.statuses = Counter(_line(job, kinds) for job in jobs)
        findings.faults["plans not accepted"] = [f"{order.key} ({order.kind})" for order in unaccepted]
        findings.faults["plans rejected"] = [text for order in client.orders for text in order.rejections]
        findings.faults["lost"] = await _lost(connection, client, jobs)
        findings.faults["wrong end"] = _wrong_ends(jobs, kinds, client.interventions.cancelled, failed_tasks(system))
        findings.faults["doubled"] = await doubled_faults(connection, client)
        findings.faults["paid twice"] = await payment_faults(connection, system, client)
        findings.faults["events"] = await event_faults(connection)
        files = await file_faults(connection, system)
        findings.faults["files"] = files.faults
        findings.faults["callbacks"] = await callback_faults(connection, system)
        findings.counts = {
            "plans submitted": len(client.orders),
            "executions": await connection.fetchval("SELECT count(*) FROM executions"),
            "jobs": len(jobs),
            "runs of jobs": sum(job["epoch"] for job in jobs),
            "events": await connection.fetchval("SELECT count(*) FROM events"),
            "tasks paid at providers": sum(fake.paid for fake in system.providers.values()),
            "artifacts, read back and compared": files.compared,
            "files left by killed runs (documented)": files.documented_leftovers,
            "callbacks received": len(system.callbacks.webhooks),
        }
    finally:
        await connection.close()
    findings.faults["processes"] = await _process_faults(system)
    findings.faults["scratch folders"] = [path.name for path in system.scratch.glob("*/*") if path.is_dir()]
    return findings


_JOBS = """
    SELECT j.id, j.execution_id::text, j.job_id, j.operation, j.status, j.error, j.epoch, e.name,
           coalesce(e.metadata ->> 'order', j.params ->> 'prompt') AS order_key, e.status AS execution_status
    FROM execution_jobs j JOIN executions e ON e.id = j.execution_id"""


def _ending(job: asyncpg.Record) -> str:
    return f"failed: {_code(job)}" if job["status"] == "failed" else job["status"]


def _line(job: asyncpg.Record, kinds: Mapping[str, str]) -> str:
    """Return how a job ended; of a failed job also the kind of its plan."""
    return f"{_ending(job)} ({kinds[job['order_key']]})" if job["status"] == "failed" else _ending(job)


def _code(job: asyncpg.Record) -> str:
    text = job["error"] or ""
    return text.partition('"code": "')[2].partition('"')[0]


async def _lost(connection: asyncpg.Connection, client: Client, jobs: list[asyncpg.Record]) -> list[str]:
    rows = await connection.fetch("SELECT id::text, status, finished_at FROM executions")
    stored = {row["id"] for row in rows}
    unknown = [i for order in client.orders for i in order.execution_ids if i not in stored]
    open_executions = [f"execution {row['id']} is {row['status']}" for row in rows if row["finished_at"] is None]
    open_jobs = [_describe(job, f"is {job['status']}") for job in jobs if job["status"] not in _ENDED]
    return [*(f"execution {i} was accepted and is unknown" for i in unknown), *open_executions, *open_jobs]


def _wrong_ends(
    jobs: list[asyncpg.Record], kinds: Mapping[str, str], cancelled: set[str], failed: set[str]
) -> list[str]:
    by_execution: dict[str, list[str]] = {}
    for job in jobs:
        by_execution.setdefault(job["execution_id"], []).append(job["status"])
    wrong = []
    for job in jobs:
        status, siblings = job["status"], by_execution[job["execution_id"]]
        is_right = (
            status == "succeeded"
            or (status == "cancelled" and job["execution_id"] in cancelled)
            or (status == "skipped" and any(other in ("failed", "cancelled") for other in siblings))
            or (status == "failed" and _may_fail(job, kinds[job["order_key"]], failed))
            or status not in _ENDED  # reported as lost
        )
        has_old_error = job["error"] is not None and status in _ENDED and status != "failed"
        if not is_right or has_old_error:
            wrong.append(_describe(job, f"ended as {_ending(job)}: {job['error']}"))
    return wrong


def _may_fail(job: asyncpg.Record, kind: str, failed: set[str]) -> bool:
    code = _code(job)
    if code == "provider_failed":
        return job["order_key"] in failed
    return code in _DOCUMENTED_FAILURES and kind in (_DOCUMENTED_FAILURES[code] or (kind,))


async def doubled_faults(connection: asyncpg.Connection, client: Client) -> list[str]:
    """Return the keys with more than one execution, and the jobs with more than one successful run."""
    by_key = {row["key"]: row["stored"] for row in await connection.fetch(_EXECUTIONS_BY_KEY)}
    stored = [f"{key}: {count} executions stored" for key, count in by_key.items() if count > 1]
    named = [
        f"{order.key}: responses named {len(order.execution_ids)} executions"
        for order in client.orders
        if len(order.execution_ids) > 1
    ]
    ends = [
        f"{row['execution_id']} {row['job_id']}: {row['ends']} successful runs"
        for row in await connection.fetch(_SUCCESSES)
    ]
    return [*stored, *named, *ends]


_EXECUTIONS_BY_KEY = """
    SELECT coalesce(e.metadata ->> 'order', j.params ->> 'prompt') AS key, count(DISTINCT e.id) AS stored
    FROM executions e JOIN execution_jobs j ON j.execution_id = e.id GROUP BY 1"""
_SUCCESSES = """
    SELECT execution_id, job_id, count(*) AS ends FROM events
    WHERE type = 'job.succeeded' GROUP BY 1, 2 HAVING count(*) > 1"""


async def _process_faults(system: System) -> list[str]:
    ended = [
        f"{program.name} ended by itself with status {status}"
        for program in system.programs
        for status in program.unexpected_ends
    ]
    killed = [f"{name} did not stop" for name in await system.stop_programs()]
    # Child processes of a killed process end shortly after it.
    for _ in range(100):
        if not (remaining := marked_processes(system.mark)):
            break
        await asyncio.sleep(0.1)
    orphans = [f"orphan: {process.pid} {' '.join(process.cmdline())[:200]}" for process in remaining]
    return [*ended, *killed, *orphans]


def _describe(job: asyncpg.Record, what: str) -> str:
    return f"{job['order_key']} {job['job_id']} ({job['operation']}, execution {job['execution_id']}) {what}"
