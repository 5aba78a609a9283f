"""Callsheet's operations on media, in a process that is warm; `python -m bench.peers.callsheet_media`.

An operation is run by itself, as a job of a worker in this process, or in a plan that is run from start to end.
"""

import logging
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
import uvloop
from pydantic import SecretStr

import callsheet
from bench.peers.protocol import answer
from callsheet.domain.records import Execution
from callsheet.files.cache import FileCache
from callsheet.files.storage import open_folder
from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.engine import Engine, running_engine

STORE = os.environ["BENCH_STORE"]
SOURCES = Path(os.environ["BENCH_SOURCES"])
CATALOG = discover()


class Uncached(RecordingContext):
    """Keeps no finished work."""

    def __init__(self, folder: Path, *, operation: str) -> None:
        super().__init__(folder, operation=operation)
        self.cache = FileCache(open_folder(folder / "cache"), max_age=timedelta(0))


class Requests:
    """What the bench asks for. Output files are in the folder of the request."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    async def operation(self, name: str, params: dict[str, Any], folder: str, cached: bool) -> dict[str, Any]:
        """Run an operation by itself; `cached`: with the work in mind that was done in this folder before."""
        found = CATALOG[name]
        kind = RecordingContext if cached else Uncached
        job = kind(Path(folder), operation=name)
        result = await found.run(job, found.params.model_validate(params))
        files = [str(job.path_of(artifact)) for artifact in job.kept]
        shutil.rmtree(job.dir)
        return {"files": files, "result": result.model_dump(mode="json")}

    async def plan(self, name: str, params: dict[str, Any], folder: str) -> dict[str, Any]:
        """Run a plan of one job by `callsheet.run`, in a runtime of its own."""
        settings = _settings(Path(folder) / "runtime")
        out = Path(folder) / "out"
        execution = await callsheet.arun(_plan(name, params), settings=settings, out=out)
        _succeeded(execution)
        return {"files": [str(out / artifact.name) for artifact in execution.artifacts]}

    async def job(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run a job by the worker in this process; return the seconds from claim to result, and the bytes written."""
        assert self._engine is not None
        execution = await self._engine.run(_plan(name, params), timeout=3600)
        _succeeded(execution)
        job = execution.jobs[0]
        assert job.started_at is not None and job.finished_at is not None
        made = sum(artifact.size for artifact in execution.artifacts)
        return {"seconds": (job.finished_at - job.started_at).total_seconds(), "bytes": made}

    async def memory(self) -> dict[str, Any]:
        """Return how much memory this process took at most, in bytes."""
        # Not by getrusage, where a process inherits the peak of the one that started it.
        status = Path("/proc/self/status").read_text()  # noqa: ASYNC240 - procfs is in memory
        return {"most": int(status.partition("VmHWM:")[2].split()[0]) * 1024}

    @asynccontextmanager
    async def working(self, folder: Path) -> AsyncIterator[None]:
        """Have a worker while the block runs."""
        async with running_engine(CATALOG.operations(), settings=_settings(folder)) as self._engine:
            yield


def _settings(folder: Path) -> Settings:
    return Settings(  # type: ignore[call-arg]
        _env_file=None,
        database_url=SecretStr(STORE),
        data_dir=folder,
        source_roots=[SOURCES],
        grace_period=timedelta(seconds=1),
    )


def _plan(name: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jobs": [{"id": "one", "operation": name, "params": params}]}


def _succeeded(execution: Execution) -> None:
    if execution.status != "succeeded":
        raise RuntimeError(f"the job failed: {[job.error for job in execution.jobs]}")


async def main() -> None:
    """Answer the bench's requests."""
    requests = Requests()
    handlers = {name: getattr(requests, name) for name in ("operation", "plan", "job", "memory")}
    if "BENCH_WORKER" in os.environ:
        async with requests.working(Path(os.environ["BENCH_WORKER"])):
            await answer(**handlers)
    else:
        await answer(**handlers)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(main())
