"""Forwards the output of a managed ComfyUI server to the log of the job that uses it."""

import time

from callsheet.comfyui.parsing import sanitize_text
from callsheet.operation_api.contract import Context

_FLUSH_INTERVAL = 1.0
_MAX_BATCH = 40
_MAX_LINES = 1000


class LogForwarder:
    """Batches lines into few log events, and stops after 1,000 lines."""

    def __init__(self, job: Context) -> None:
        self._job = job
        self._lines: list[str] = []
        self._last_flush = 0.0
        self._count = 0

    def on_line(self, line: str) -> None:
        """Add a line."""
        self._count += 1
        if self._count > _MAX_LINES:
            return
        self._lines.append(sanitize_text(line))
        if len(self._lines) >= _MAX_BATCH or time.monotonic() - self._last_flush >= _FLUSH_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Write the collected lines to the job's log."""
        if self._lines:
            self._job.log("\n".join(self._lines), source="ComfyUI")
        if self._count > _MAX_LINES:
            self._job.log(f"{self._count - _MAX_LINES} more lines of ComfyUI were dropped", source="ComfyUI")
            self._count = 0
        self._lines, self._last_flush = [], time.monotonic()
