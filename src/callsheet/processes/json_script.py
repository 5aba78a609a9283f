"""Run a Python script in a child process that reports in JSON lines."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from callsheet.processes.child import ProcessLimits, child_environment, start_child
from callsheet.processes.landlock import FileAccess


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How a script ended."""

    code: int
    """Exit status: 0 for success, negative for the signal that ended it."""
    error: str
    """The last line of stderr, which names the exception if the script failed."""


async def run_script(
    script: Path,
    request: dict[str, Any],
    on_line: Callable[[dict[str, Any]], None],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    limits: ProcessLimits,
    access: FileAccess | None = None,
) -> ScriptResult:
    """Run a script with the request as its argument, and pass each line of its stdout, parsed, to `on_line`.

    With `access`, the script may use these files only, and no TCP. The process is killed when the call ends,
    fails or is cancelled.
    """
    # -P: modules in the folder of the script must not hide modules of the same name elsewhere.
    if access is not None:
        access = replace(access, read=(*access.read, script))
    argv = [sys.executable, "-P", str(script), json.dumps(request)]
    async with start_child(argv, cwd=cwd, env=env or child_environment(), limits=limits, access=access) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
        reading_stderr = asyncio.create_task(process.stderr.read())
        try:
            async for line in process.stdout:
                on_line(json.loads(line))
            code = await process.wait()
            stderr = (await reading_stderr).decode("utf-8", "replace").strip().splitlines()
        finally:
            reading_stderr.cancel()
    return ScriptResult(code, stderr[-1] if stderr else f"exit status {code}")
