"""Submits ComfyUI jobs and waits for their ends; `python -m bench.waiting.comfyui_jobs`."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import uvloop

from bench.peers.protocol import answer
from callsheet.db.database import Database
from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs.submit import submit
from callsheet.operation_api.catalog import discover

STORE = os.environ["BENCH_STORE"]
POLL_INTERVAL = 0.1


async def main() -> None:
    """Run the commands of the benchmark."""
    catalog = discover()
    connection = await asyncpg.connect(STORE)
    async with Database(STORE) as database:

        async def submit_jobs(graphs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
            jobs = [
                {"id": f"job-{number}", "operation": "comfyui", "params": {"graph": graph}}
                for number, graph in enumerate(graphs)
            ]
            await submit(database, read_submission({"executionPlan": {"jobs": jobs}}), catalog, max_jobs=1000)
            return {}

        async def ended() -> dict[str, Any]:
            """Wait until all jobs have ended. Raises RuntimeError if one did not succeed."""
            unfinished = "SELECT count(*) FROM execution_jobs WHERE finished_at IS NULL"
            while await connection.fetchval(unfinished):  # noqa: ASYNC110 - a store is polled
                await asyncio.sleep(POLL_INTERVAL)
            failed = await connection.fetchval(
                "SELECT error::text FROM execution_jobs WHERE status <> 'succeeded' LIMIT 1"
            )
            if failed is not None:
                raise RuntimeError(f"a job failed: {failed}")
            return {}

        await answer(submit=submit_jobs, ended=ended)


if __name__ == "__main__":
    uvloop.run(main())
