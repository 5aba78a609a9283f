"""The `command` operation: a program that the operator has named in the steps file."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

from pydantic import ConfigDict, Field

from callsheet.files.object_keys import safe_name
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.outside_params import (
    OutsideParams,
    OutsideResult,
    checked_step,
    request_for,
    result_of,
)
from callsheet.outside_steps.command import file_in_folder, run_command
from callsheet.outside_steps.declarations import CommandStep

log = logging.getLogger("command")


class CommandParams(OutsideParams):
    """A command, and its params."""

    kind = "command"
    # A step of examples/steps/steps.yaml.
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"command": "word-count", "params": {"text": "A lighthouse at dusk"}}]}
    )

    command: str = Field(min_length=1, max_length=100, description="Name of a command of the steps file")


@operation(
    "command",
    # The limit of each command is in the steps file.
    timeout=timedelta(hours=24),
    # Params are checked against the steps file.
    blocking_validation=True,
)
async def command(job: Context, params: CommandParams) -> OutsideResult:
    """Run a program that the operator has named in the steps file, in any language."""
    step = await checked_step(job, params, CommandStep)
    folder = job.dir / "command"
    inputs = {name: await _input(job, folder, name, params) for name in params.inputs}
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    request = request_for(job, step.name, params, inputs)
    end = await run_command(step, request, folder, job.progress, log.info)
    paths = [await asyncio.to_thread(file_in_folder, file, folder) for file in end.files]
    files = [
        await job.keep(path, name=file.name or path.name, media_type=file.media_type)
        for path, file in zip(paths, end.files, strict=True)
    ]
    return result_of(end.result or {}, files)


async def _input(job: Context, folder: Path, name: str, params: CommandParams) -> dict[str, str]:
    """Fetch an input file, and link it into the folder `inputs` of the command."""
    source = await job.fetch_input(params.inputs[name])
    link = folder / "inputs" / safe_name(name) / safe_name(source.name)
    await asyncio.to_thread(link.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(link.symlink_to, source.absolute())
    return {"path": str(link.relative_to(folder))}
