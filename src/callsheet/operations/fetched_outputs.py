"""Fetch the output files of providers and of ComfyUI, and fetch them again while they are not right."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from callsheet.domain.errors import BadOutput
from callsheet.operation_api.contract import Context
from callsheet.operations.output_kinds import ExpectedOutput, check_output

_FIRST_PAUSE = 0.5
"""Seconds."""


async def fetch_output(
    job: Context,
    download: Callable[[], Awaitable[object]],
    target: Path,
    expected: ExpectedOutput,
    *,
    can_change: bool = True,
) -> frozenset[str]:
    """Download an output to `target`, check it, and return its kinds (see `check_output`).

    A file that is not right is downloaded again, after pauses that double, for CALLSHEET_OUTPUT_PATIENCE: right after
    the end of a task, its file may not have arrived everywhere. Then BadOutput is raised, which is transient. A file
    that cannot change, such as one inside of a response, is downloaded once.
    """
    loop = asyncio.get_running_loop()
    pause, end = _FIRST_PAUSE, loop.time() + job.settings.output_patience.total_seconds()
    while True:
        try:
            await download()
            return await check_output(target, expected)
        except BadOutput as error:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            if not can_change or loop.time() + pause > end:
                raise
            job.log(f"{error.message} It is fetched again.")
        await asyncio.sleep(pause)
        pause *= 2
