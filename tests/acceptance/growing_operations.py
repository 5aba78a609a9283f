"""Operations that note the process in which they run, for tests of replaced worker processes."""

# ruff: noqa: ASYNC110, ASYNC230, ASYNC240 - they wait for files of a test, which send no event.

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context, operation

_KEPT = []
_RUNNING = []
_TIMEOUT = timedelta(minutes=5)


class GrowParams(Model):
    """How much memory a run leaves behind, and when it ends."""

    ledger: str
    """Receives a line with the process id."""
    megabytes: int = 0
    until: str | None = None
    """The run ends when this file exists."""


class DeviceParams(Model):
    """A file that must exist before the run ends."""

    until: str


class Device(Model):
    """What a run sees of the GPUs, and the number of its runs at once."""

    visible: str | None
    at_once: int


class Nothing(Model):
    """No result."""


@operation("grow", queue="test", timeout=_TIMEOUT)
async def grow(job: Context, params: GrowParams) -> Nothing:
    """Note the process, keep memory, and wait."""
    with Path(params.ledger).open("a") as ledger:
        ledger.write(f"{os.getpid()}\n")
    _KEPT.append(b"x" * (params.megabytes * 2**20))
    while params.until is not None and not Path(params.until).exists():
        await asyncio.sleep(0.05)
    return Nothing()


@operation("see-gpu", queue="gpu", timeout=_TIMEOUT)
async def see_gpu(job: Context, params: DeviceParams) -> Device:
    """Return the GPUs that this process sees."""
    _RUNNING.append(job.id)
    at_once = len(_RUNNING)
    while not Path(params.until).exists():
        await asyncio.sleep(0.05)
    _RUNNING.remove(job.id)
    return Device(visible=os.environ.get("CUDA_VISIBLE_DEVICES"), at_once=at_once)


@operation("grow-elsewhere", queue="other", timeout=_TIMEOUT)
async def grow_elsewhere(job: Context, params: GrowParams) -> Nothing:
    """Do the same in another queue."""
    return await grow.run(job, params)
