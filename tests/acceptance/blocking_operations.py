"""Operations that block the event loop of their worker, or its whole interpreter."""

import ctypes
import time
from datetime import timedelta
from pathlib import Path

from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context, operation


class Blocking(Model):
    """How long to block, and the file that receives a line at each start."""

    seconds: float
    starts: str


class Done(Model):
    """Nothing."""


def record_start(path):
    with Path(path).open("a") as file:
        file.write("started\n")


@operation("block-loop", queue="test", timeout=timedelta(seconds=30))
async def block_loop(job: Context, params: Blocking) -> Done:
    record_start(params.starts)
    time.sleep(params.seconds)  # sleep: blocking is what the tests are about  # noqa: ASYNC251
    return Done()


@operation("hold-interpreter", queue="test", timeout=timedelta(seconds=30))
async def hold_interpreter(job: Context, params: Blocking) -> Done:
    record_start(params.starts)
    # A function of a PyDLL is called with the interpreter lock held: no thread of the process runs.
    ctypes.PyDLL(None).sleep(int(params.seconds))
    return Done()
