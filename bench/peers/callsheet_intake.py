"""Callsheet behind a queue: the intake and a worker, each a process of its own.

python -m bench.peers.callsheet_intake work | bullmq | celery | redis-streams | polled-api
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import uvloop
from pydantic import SecretStr

from bench.peers.callsheet import CATALOG, LANE, QUEUE
from bench.peers.protocol import reply, until_stop_signal
from callsheet.intake.catalog import load_intake
from callsheet.intake.mappings import Payload
from callsheet.intake.runner import IntakeRunner
from callsheet.logs import configure_logging
from callsheet.processes.garbage_collection import collect_garbage_less_often
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime

HERE = "bench.peers.callsheet_intake"


def plan(payload: Payload) -> Mapping[str, Any]:
    """Return the plan of a job: one job that does nothing."""
    return {"jobs": [{"id": "a", "operation": payload.name, "params": payload.data}]}


def plan_of_task(payload: Payload) -> Mapping[str, Any]:
    """Return the plan of a task of the polled API."""
    return {"jobs": [{"id": "a", "operation": payload.data["kind"], "params": {"n": payload.data["n"]}}]}


def settings(folder: str) -> Settings:
    """Settings as they come, with data in `folder`."""
    store = urlsplit(os.environ["BENCH_STORE"])
    return Settings(  # type: ignore[call-arg]
        _env_file=None,
        database_url=SecretStr(os.environ["BENCH_DATABASE"]),
        data_dir=Path(folder),
        redis_host=str(store.hostname),
        redis_port=int(store.port or 0),
        bullmq_queues=f"bench={HERE}:plan",
        celery_queues="bench",
        celery_tasks=f"noop={HERE}:plan,held={HERE}:plan",
        polled_api_url=f"http://{store.netloc}",
        polled_api_mapping=f"{HERE}:plan_of_task",
        polled_api_tasks=int(os.environ.get("BENCH_TASKS", "200")),
        polled_api_interval=0.02,
        log_level="warning",
    )


async def run(role: str) -> None:
    """Run until SIGTERM or SIGINT."""
    with TemporaryDirectory(prefix="callsheet-bench-") as folder:
        chosen = settings(folder)
        configure_logging("warning")
        async with open_runtime(chosen, CATALOG) as runtime:
            runner = _worker(runtime) if role == "work" else IntakeRunner(load_intake(role), runtime)
            collect_garbage_less_often()
            working = asyncio.create_task(runner.run())
            stopping = asyncio.create_task(until_stop_signal())
            reply(ready=True)
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            runner.stop()
            await working


def _worker(runtime: Runtime) -> Any:
    return runtime.worker({QUEUE: LANE})


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1]))
