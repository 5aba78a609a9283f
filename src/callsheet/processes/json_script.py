"""Scripts of ours that work in a process of their own, and tell of it in lines of JSON."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.processes.child import ProcessLimits, child_environment, start_child


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How a script ended."""

    code: int
    """0 when it came to its end; negative for the signal that ended it."""
    error: str
    """The last line it wrote to stderr, which for a fault of the script is the error."""


async def run_script(
    script: Path,
    request: dict[str, Any],
    on_line: Callable[[dict[str, Any]], None],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    limits: ProcessLimits,
) -> ScriptResult:
    """Run a script with the request as its argument, and hand on each line that it writes, as it comes.

    The process ends with the call, however the call ends.
    """
    # -P: the folder of the script holds names such as `graph` that must not hide other modules.
    argv = [sys.executable, "-P", str(script), json.dumps(request)]
    async with start_child(argv, cwd=cwd, env=env or child_environment(), limits=limits) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
        complaints = asyncio.create_task(process.stderr.read())
        try:
            async for line in process.stdout:
                on_line(json.loads(line))
            code = await process.wait()
            said = (await complaints).decode("utf-8", "replace").strip().splitlines()
        finally:
            complaints.cancel()
    return ScriptResult(code, said[-1] if said else f"exit status {code}")
