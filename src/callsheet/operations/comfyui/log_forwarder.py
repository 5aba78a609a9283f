"""The log of a ComfyUI that a worker runs, told to the job that uses it."""

import time

from callsheet.comfyui.parsing import sanitize_text
from callsheet.operation.contract import Context

_BETWEEN = 1.0
_AT_ONCE = 40
_MOST = 1000


class LogForwarder:
    """Gathers lines, so that a talkative server makes few events, and not more of them than anybody reads."""

    def __init__(self, job: Context) -> None:
        self._job = job
        self._lines: list[str] = []
        self._told = 0.0
        self._count = 0

    def on_line(self, line: str) -> None:
        """Take a line in."""
        self._count += 1
        if self._count > _MOST:
            return
        self._lines.append(sanitize_text(line))
        if len(self._lines) >= _AT_ONCE or time.monotonic() - self._told >= _BETWEEN:
            self.flush()

    def flush(self) -> None:
        """Tell what was gathered."""
        if self._lines:
            self._job.log("\n".join(self._lines), source="ComfyUI")
        if self._count > _MOST:
            self._job.log(f"ComfyUI said {self._count - _MOST} lines more", source="ComfyUI")
            self._count = 0
        self._lines, self._told = [], time.monotonic()
