"""The process of a managed ComfyUI server: its output, its exit, its identity."""

import asyncio
import shutil
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.domain.errors import PromptLost
from callsheet.processes.child import ProcessLimits, child_environment, start_child

UNLIMITED = ProcessLimits(file_bytes=None)
_LAST_LINES = 12
_MAX_LINE = 500
_MAX_UNFINISHED_LINE = 4096

OnLine = Callable[[str], None]


@dataclass(slots=True)
class ServerProcess:
    """One process, from its start to its exit."""

    id: str
    """Unique for each process."""
    url: str
    argv: list[str]
    """Its flags. It reports them in `/system_stats`, which distinguishes it from another server on the same port."""
    scratch_dir: Path
    """Deleted when the process exits."""
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    exit_code: int | None = None
    ready: bool = False

    def exit_reason(self) -> str:
        """Describe the exit, with the last lines of output."""
        code = self.exit_code or 0
        how = f"with signal {-code}" if code < 0 else f"with exit status {code}"
        if code == -signal.SIGKILL:
            how += " (killed, possibly by the system because memory ran out)"
        return f"The managed ComfyUI exited {how}; {self.describe_output()}"

    def describe_output(self) -> str:
        """Return the last lines of output, for error messages."""
        return f"its last output: {' | '.join(self.last_lines) or 'none'}"

    def raise_if_exited(self) -> None:
        """Raise PromptLost, with the reason, once the process has exited."""
        if self.exited.is_set():
            raise PromptLost(self.exit_reason())

    async def run(self, command: list[str], folder: Path, on_line: OnLine) -> None:
        """Run the command in `folder` until it exits. Cancelling ends the process."""
        try:
            async with start_child(command, cwd=folder, env=child_environment(), limits=UNLIMITED) as process:
                assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
                # Both pipes are read all the time: the process blocks when one is full.
                await asyncio.gather(self._read(process.stdout, on_line), self._read(process.stderr, on_line))
                self.exit_code = await process.wait()
        finally:
            self.exited.set()
            await asyncio.to_thread(shutil.rmtree, self.scratch_dir, ignore_errors=True)

    async def _read(self, pipe: asyncio.StreamReader, on_line: OnLine) -> None:
        rest = b""
        while chunk := await pipe.read(16 * 1024):
            # Progress bars rewrite their line with carriage returns.
            *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
            rest = rest[-_MAX_UNFINISHED_LINE:]
            for line in lines:
                self._add_line(line, on_line)
        self._add_line(rest, on_line)

    def _add_line(self, line: bytes, on_line: OnLine) -> None:
        if text := line.decode(errors="replace").strip()[:_MAX_LINE]:
            self.last_lines.append(text)
            on_line(text)
