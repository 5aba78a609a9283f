"""Run the command of a trainer, with all its processes."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from callsheet.domain.errors import ConfigurationError, TrainerFailed
from callsheet.processes.child import ProcessLimits, child_environment, start_child
from callsheet.processes.pipes import read_pipes
from callsheet.training.commands import Command
from callsheet.training.trainer_output import LineSplitter

_GROUP_SCRIPT = Path(__file__).with_name("process_group.py")
_LIMITS = ProcessLimits(file_bytes=None)
_STOP_TIMEOUT = 10.0
"""Seconds for all processes of a trainer to be killed."""
_CHUNK = 64 * 1024


async def run_command(command: Command, on_line: Callable[[str], None]) -> None:
    """Run a command until it ends, and pass each line of its output to `on_line`.

    All its processes end when the call ends, fails or is cancelled, and when this process dies. Raises TrainerFailed
    if it fails, without its output, and ConfigurationError if it cannot be started.
    """
    environment = child_environment(PYTHONUNBUFFERED="1", **command.env)
    environment.pop("PYTHONPATH", None)  # of another Python than that of the trainer
    argv = [sys.executable, "-I", "-S", str(_GROUP_SCRIPT), *command.argv]
    async with start_child(argv, cwd=command.cwd, env=environment, limits=_LIMITS) as process:
        try:
            await read_pipes(process, lambda pipe: _read(pipe, on_line), lambda pipe: _read(pipe, on_line))
            code = await process.wait()
        finally:
            await _stop(process)
    if code:
        raise TrainerFailed(_reason(code), exit_status=code)


async def _read(pipe: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    splitter = LineSplitter()
    while chunk := await pipe.read(_CHUNK):
        for line in splitter.feed(chunk):
            on_line(line)
    for line in splitter.end():
        on_line(line)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Make the script kill all processes of the trainer. It is killed itself at the end of its block."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    waiting = asyncio.ensure_future(asyncio.wait_for(process.wait(), _STOP_TIMEOUT))
    await asyncio.wait([waiting])
    if not waiting.cancelled() and waiting.exception() is not None:
        raise ConfigurationError("The processes of the trainer could not be killed.")


def _reason(code: int) -> str:
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return "The trainer was killed, possibly by the system because memory ran out."
    if 0 < number < signal.NSIG:
        return f"The trainer was ended by {signal.Signals(number).name}."
    return f"The trainer ended with exit status {code}."
