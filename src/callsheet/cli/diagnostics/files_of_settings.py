"""Files that settings name: models, steps, schedules, and the folders of sources."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.engine.schedules.file import read_schedules_file
from callsheet.outside_steps.declarations import read_steps
from callsheet.providers.registry import read_registry


async def models(installation: Installation) -> AsyncIterator[Finding]:
    """Read the models file. Raises ConfigurationError with its problems."""
    if (file := installation.settings.models_file) is not None:
        registry = await asyncio.to_thread(read_registry, file)
        yield ok("models", f"{len(registry)} models, with those of {file}")


async def steps(installation: Installation) -> AsyncIterator[Finding]:
    """Read the steps file, and look for its programs and secrets. Raises ConfigurationError with its problems."""
    settings = installation.settings
    if settings.steps_file is None:
        return
    found = await asyncio.to_thread(read_steps, settings)
    secrets = [await asyncio.to_thread(step.secret_bytes) for step in found.endpoints]
    yield ok("steps", f"commands: {len(found.commands)}, endpoints: {len(found.endpoints)}")
    for step in found.commands:
        program = step.command[0]
        if shutil.which(program) is None:
            message = f"the program {program} of the command '{step.name}' is not here"
            yield Finding("steps.no_program", message, "install it on the workers that run the command")
    for endpoint, secret in zip(found.endpoints, secrets, strict=True):
        if secret is None:
            message = f"requests to the endpoint '{endpoint.name}' are not signed"
            yield Finding("steps.unsigned", message, "give it a secret; see docs/steps-in-other-languages.md")


async def schedules(installation: Installation) -> AsyncIterator[Finding]:
    """Read the schedules file, and check its plans. Raises ConfigurationError with its problems."""
    file = installation.settings.schedules_file
    if file is None:
        return
    found = await asyncio.to_thread(read_schedules_file, file)
    paused = sum(schedule.paused is True for schedule in found.values())
    yield ok("schedules", f"{len(found)} schedules in {file}" + (f", of which {paused} paused" if paused else ""))


async def source_roots(installation: Installation) -> AsyncIterator[Finding]:
    """Report folders of sources that do not exist, or that contain everything."""
    for root in installation.settings.source_roots:
        if not root.is_dir():
            message = f"the folder {root} does not exist"
            yield Finding("source_roots.missing", message, "create it, or remove it from CALLSHEET_SOURCE_ROOTS")
        elif root.resolve() == Path("/"):
            message = "/ allows every plan to read every file of this machine"
            yield Finding("source_roots.everything", message, "set CALLSHEET_SOURCE_ROOTS to the folders of the media")
