"""Child processes that respond in JSON lines."""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0


class ChildFailed(RuntimeError):
    """A child ended, or was silent for too long; the message holds the end of what it complained of."""


class Child:
    """A process that is asked and answers; everything it complains of is kept."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        self._name = " ".join(arguments[-2:])
        self._rest = b""
        self._process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**_clean_environment(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, do: str, seconds: float = 600, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
            self._process.stdin.flush()
        return self.answer(seconds)

    def answer(self, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Return the next line that is a JSON object; other lines are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            line = self._line(deadline)
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    return found

    def end(self, timeout: float = 10) -> None:
        """Terminate the process; kill its whole process group after `timeout` seconds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
        self._complaints.close()

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise ChildFailed(f"{self._name} gave no answer in time: {self.last_words()}")
            if not (chunk := os.read(pipe, 65536)):
                raise ChildFailed(f"{self._name} ended: {self.last_words()}")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def last_words(self) -> str:
        """Return the end of what it complained of."""
        size = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, size - 2000))
        return self._complaints.read().decode(errors="replace").strip()


@contextlib.contextmanager
def running(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[Child]:
    """Run a child until the block ends; it has said that it is ready."""
    child = Child(arguments, environment)
    try:
        child.answer()
        yield child
    finally:
        child.end()


def _clean_environment() -> dict[str, str]:
    """Return our environment without settings that would change what is measured.

    Children import Callsheet from this checkout, whichever one is installed.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CALLSHEET_", "PGQUEUER_", "PROCRASTINATE_", "CELERY_", "PYTHON"))
        and name not in ("DATABASE_URL", "REDIS_URL")
    }
    return {**kept, "PYTHONPATH": str(ROOT / "src")}
