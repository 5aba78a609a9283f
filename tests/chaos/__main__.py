"""`python -m tests.chaos`: run the deployment under load and faults, heal it, audit it, and print a table.

Exit status: 0 if the audit found no fault, 1 if it did.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.audit import audit, wait_until_ended
from tests.chaos.database import MAX_FAILOVER_SECONDS, Options
from tests.chaos.faults import Schedule
from tests.chaos.load import Client
from tests.chaos.report import Report
from tests.chaos.system import System, running_system

_END_TIMEOUT = 180.0
"""Seconds that all jobs have to end after the last fault."""


def main() -> int:
    """Run the program."""
    options = _read_options()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"chaos: seed {seed}", file=sys.stderr, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="callsheet-chaos-"))
    report = asyncio.run(_run(folder, seed, options))
    print(report.as_json() if options.json else report.as_table())
    if report.findings.passed:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if report.findings.passed else 1


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.0, help="time of load and faults (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="seed of load and faults (default: a random one, printed)")
    parser.add_argument(
        "--load-pause", type=float, default=1.2, help="seconds between two plans (default: %(default)s)"
    )
    parser.add_argument(
        "--fault-pause", type=float, default=1.5, help="seconds between two faults (default: %(default)s)"
    )
    parser.add_argument(
        "--postgres",
        type=int,
        choices=(15, 18),
        default=18,
        help="version of PostgreSQL: 15 of Debian, or 18 of the installed package (default: %(default)s)",
    )
    parser.add_argument("--pgbouncer", action="store_true", help="put PgBouncer in session mode before the database")
    parser.add_argument(
        "--failover", action="store_true", help="half way, stop the primary at once and promote its standby"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


async def _run(folder: Path, seed: int, options: argparse.Namespace) -> Report:
    started = time.monotonic()
    run = asyncio.current_task()
    assert run is not None
    # Like Ctrl-C: the processes of the deployment are stopped, and the small disk is unmounted.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.cancel)
    servers = Options(version=options.postgres, pgbouncer=options.pgbouncer, failover=options.failover)
    async with running_system(folder, servers) as system:
        client = Client(system, seed)
        schedule = Schedule(system, client, seed)
        failover = None
        if options.failover:
            await _run_for(options.minutes * 30, client.run(options.load_pause), schedule.run(options.fault_pause))
            await schedule.end()
            failover = await _fail_over(system, client, options.load_pause)
        seconds = options.minutes * (30 if options.failover else 60)
        await _run_for(seconds, client.run(options.load_pause), schedule.run(options.fault_pause))
        await schedule.end()
        unaccepted = await client.accepted(_END_TIMEOUT)
        await client.close()
        await wait_until_ended(system, _END_TIMEOUT)
        findings = await audit(system, client, unaccepted)
        if failover is not None and failover > MAX_FAILOVER_SECONDS:
            findings.faults["slow failover"] = [f"{failover:.1f} s, more than {MAX_FAILOVER_SECONDS:g} s"]
        seconds = time.monotonic() - started
        return Report(seed, seconds, _disk_full(system), schedule.injected, findings, failover, str(folder))


async def _fail_over(system: System, client: Client, pause: float) -> float:
    """Fail over under load; returns the seconds from the promotion to the next end of a job."""
    load = asyncio.create_task(client.run(pause))
    try:
        return await asyncio.wait_for(system.database.fail_over(), _END_TIMEOUT)
    finally:
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)


async def _run_for(seconds: float, *activities: object) -> None:
    tasks = [asyncio.ensure_future(activity) for activity in activities]
    try:
        # An activity ends early only with an error, which is raised here.
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


def _disk_full(system: System) -> str:
    return "a small tmpfs" if system.has_small_disk else "not injected, because only root can mount a small disk"


if __name__ == "__main__":
    sys.exit(main())
