"""The process of a managed ComfyUI server: its output, its exit, its identity."""

import asyncio
import re
import shutil
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.domain.errors import PromptLost
from callsheet.domain.plain_text import plain_text
from callsheet.processes.child import ProcessLimits, child_environment, start_child
from callsheet.processes.pipes import read_pipes

UNLIMITED = ProcessLimits(file_bytes=None)
_LAST_LINES = 12
_FAILURE = re.compile(r"\[(?:ERROR|CRITICAL)\]|Traceback|Error\b|error:|Exception")
"""What explains a failure. The lines before it are the chatter of the start."""
_UNEXPLAINED_LINES = 3
"""Last lines that are shown if none explains the failure."""
_MAX_LINE = 500
_MAX_UNFINISHED_LINE = 4096

_EXECUTOR_ENDED = re.compile(r"Exception in thread .{0,200}\(prompt_worker\)")

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
    executor_error: str | None = None
    """The line that says that the thread which runs prompts has ended. The HTTP server continues without it."""

    def exit_reason(self) -> str:
        """Describe the exit, with the last lines of output."""
        code = self.exit_code or 0
        how = f"with signal {-code}" if code < 0 else f"with exit status {code}"
        if code == -signal.SIGKILL:
            how += " (killed, possibly by the system because memory ran out)"
        return f"The managed ComfyUI exited {how}; {self.describe_output()}"

    def describe_output(self) -> str:
        """Return the last lines of output, for error messages."""
        lines = list(self.last_lines)
        first = next((number for number, line in enumerate(lines) if _FAILURE.search(line)), -_UNEXPLAINED_LINES)
        return f"its last output: {' | '.join(lines[first:]) or 'none'}"

    def raise_if_exited(self) -> None:
        """Raise PromptLost, with the reason, once the process has exited or runs no prompts any more."""
        if self.exited.is_set():
            raise PromptLost(self.exit_reason())
        if self.executor_error is not None:
            raise PromptLost(f"The managed ComfyUI runs no prompts any more; {self.describe_output()}")

    async def run(self, command: list[str], folder: Path, on_line: OnLine) -> None:
        """Run the command in `folder` until it exits. Cancelling ends the process."""
        try:
            async with start_child(
                command, cwd=folder, env=child_environment(NO_COLOR="1"), limits=UNLIMITED
            ) as process:
                await read_pipes(
                    process, lambda pipe: self._read(pipe, on_line), lambda pipe: self._read(pipe, on_line)
                )
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
        if text := plain_text(line.decode(errors="replace")).strip()[:_MAX_LINE]:
            self.last_lines.append(text)
            if _EXECUTOR_ENDED.match(text):
                self.executor_error, self.ready = text, False
            on_line(text)
