"""Throughput while the clean-up deletes a million ended jobs, beside the same without it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.full_tables import fill
from bench.machine import busy_share
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import CALLSHEET, session
from callsheet.db.database import Database
from callsheet.domain.retention import parse_retention
from callsheet.engine.retention.clean_up import clean_up
from callsheet.files.storage import open_folder

PROMISED_CHANGE = 0.10
_ENDED = "SELECT count(*) FROM executions WHERE created_at < now() - interval '1 hour' AND status = 'succeeded'"


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure both in turns on one database, whose history shrinks meanwhile."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    finding = Finding(
        "retention",
        f"{sizes.jobs:,} jobs beside {sizes.finished:,} ended ones, median of {sizes.rounds}",
        ["jobs/s", "change"],
    )
    with stores.database() as store:
        progress("filling the tables")
        fill(stores, store, sizes)
        before = int(str(stores.value(_ENDED, store)))
        with session(CALLSHEET, stores, store=store, warm_up=sizes.warm_up) as running:
            for number in range(sizes.rounds):
                for is_cleaning in (False, True):
                    name = "with" if is_cleaning else "without"
                    progress(f"round {number + 1}/{sizes.rounds}: {name} the clean-up")
                    finding.noise.append(busy_share())
                    with _cleaning(store, stores.folder) if is_cleaning else _nothing():
                        moments = running.client.ask("bulk", jobs=sizes.jobs, per_plan=1)
                    rates[is_cleaning].append(sizes.jobs / (moments["ended"] - moments["began"]))
        after = int(str(stores.value(_ENDED, store)))
    without, beside = median(rates[False]), median(rates[True])
    change = beside / without - 1
    finding.rows = [
        Row("without the clean-up", [f"{without:,.0f}", ""], {"all": rates[False]}),
        Row("while it deletes", [f"{beside:,.0f}", f"{change:+.0%}"], {"all": rates[True]}),
    ]
    finding.notes = [f"The clean-up deleted {before - after:,} executions of ten jobs each in these rounds."]
    finding.verdicts = [
        Verdict("at most 10 % slower while it deletes", f"{change:+.0%}", change >= -PROMISED_CHANGE),
        Verdict("it deletes", f"{before - after:,} executions", after < before),
    ]
    return finding


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _cleaning(store: str, folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.retention", store, str(folder / "files")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


async def _clean_up(store: str, folder: str) -> None:
    async with Database(store) as database:
        print("ready", flush=True)
        await clean_up(database, open_folder(Path(folder)), parse_retention("off,succeeded=1h"))


if __name__ == "__main__":
    asyncio.run(_clean_up(*sys.argv[1:]))
