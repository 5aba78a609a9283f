"""Callsheet behind a queue of BullMQ: the intake and a worker, each a process of its own.

python -m bench.peers.callsheet_intake intake | work
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from bench.peers.callsheet import CATALOG, LANE, QUEUE
from bench.peers.protocol import reply, until_stop_signal
from callsheet.intake.bullmq.intake import BullMQIntake
from callsheet.intake.mappings import Payload
from callsheet.intake.runner import IntakeRunner
from callsheet.logs import configure_logging
from callsheet.processes.garbage_collection import collect_garbage_less_often
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime


def plan(payload: Payload) -> Mapping[str, Any]:
    """Return the plan of a job: one job that does nothing."""
    return {"jobs": [{"id": "a", "operation": payload.name, "params": payload.data}]}


def settings(folder: str) -> Settings:
    """Settings as they come, with data in `folder`."""
    redis = urlsplit(os.environ["BENCH_STORE"])
    return Settings(  # type: ignore[call-arg]
        _env_file=None,
        database_url=SecretStr(os.environ["BENCH_DATABASE"]),
        data_dir=Path(folder),
        redis_host=str(redis.hostname),
        redis_port=int(redis.port or 0),
        bullmq_queues="bench=bench.peers.callsheet_intake:plan",
    )


async def run(role: str) -> None:
    """Run until SIGTERM or SIGINT."""
    with TemporaryDirectory(prefix="callsheet-bench-") as folder:
        chosen = settings(folder)
        configure_logging("warning")
        async with open_runtime(chosen, CATALOG) as runtime:
            runner = IntakeRunner(BullMQIntake, runtime) if role == "intake" else _worker(runtime)
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
    asyncio.run(run(sys.argv[1]))
