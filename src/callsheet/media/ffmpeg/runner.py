"""Run FFmpeg. No other module starts it."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from callsheet.domain.errors import FFmpegFailed, TimedOut
from callsheet.media.ffmpeg.error_messages import explain
from callsheet.media.ffmpeg.progress import FFmpegProgress, ProgressReader
from callsheet.media.ffmpeg.sandbox import Sandbox, check_sandbox, ffmpeg_access
from callsheet.media.fonts import FONTCONFIG
from callsheet.processes.child import ProcessLimits, child_environment, start_child

_HEAD_BYTES = 16 * 1024
_TAIL_BYTES = 64 * 1024
_UNFINISHED = "Error writing trailer"
"""Older builds exit with 0 after this error, which a full disk causes at the end."""
_MIN_BYTES_READ = 2**20
"""Bytes read within a stall timeout that count as activity."""
_DEFAULT_LIMITS = ProcessLimits()


@dataclass(frozen=True, slots=True)
class FFmpegReport:
    """The result of an FFmpeg run."""

    seconds: float
    """Duration of the output, as reported by FFmpeg."""
    frames: int | None
    """Video frames written. None without a video stream."""
    speed: float | None
    """Seconds of output per second of run time."""
    elapsed: float
    """Run time in seconds."""
    stderr: str
    """The end of stderr, at most 64 KiB."""


@dataclass(frozen=True, slots=True)
class CapturedOutput:
    """What FFmpeg wrote to stdout and stderr."""

    stdout: bytes
    stderr: str


class FFmpeg:
    """Runs FFmpeg, one process per call. The process is killed when the call ends, fails or is cancelled."""

    def __init__(
        self,
        binary: Path,
        *,
        threads: int | None = None,
        limits: ProcessLimits = _DEFAULT_LIMITS,
        sandbox: Sandbox = "auto",
    ) -> None:
        """Use the given binary.

        `threads` is the number of threads of each filter graph; None: one per usable CPU. `limits` are the default
        resource limits of a run. `sandbox` is the setting FFMPEG_SANDBOX.

        Raises ConfigurationError if a sandbox is required and the kernel has none.
        """
        check_sandbox(sandbox)
        self.binary = binary
        self.threads = threads or usable_processors()
        self.limits = limits
        self.sandbox = sandbox

    async def run(
        self,
        args: Sequence[str],
        *,
        duration: float | None = None,
        on_progress: Callable[[FFmpegProgress], None] | None = None,
        cwd: Path | None = None,
        timeout: float | None = None,
        stall: float = 120,
        verbosity: str = "warning",
        limits: ProcessLimits | None = None,
        growing: Sequence[Path] = (),
        read: Sequence[Path] = (),
        write: Sequence[Path] = (),
    ) -> FFmpegReport:
        """Run FFmpeg with `args` after its global options.

        `on_progress` receives the share done, from 0 to 1 and increasing, with speed and remaining time. It is
        computed from `duration`, the planned output in seconds. `timeout` limits the run time, in seconds. `stall` is
        the number of seconds without progress after which the run is killed; growth of a file in `growing` counts as
        progress.

        FFmpeg may use the files after `-i`, the folder `cwd` and the folders of its outputs. `read` and `write` are
        further files or folders, such as those that a filter names.

        Raises FFmpegFailed if FFmpeg fails, stalls, exceeds its memory limit or writes far more than planned, TimedOut
        after `timeout`, DiskFull, and Transient if the machine runs out of memory. Exit status 0 does not prove that
        the output is complete: check it (see `media.probing.output_checks`).
        """
        reader = ProgressReader(duration, on_progress)
        flags = ["-v", verbosity, "-nostats", "-stats_period", "0.5", "-progress", "pipe:1"]
        started = time.monotonic()
        command = self._command(flags, args)
        async with self._start(command, args, cwd, limits, read, write) as process:
            assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
            stderr = _StderrBuffer()
            draining = asyncio.create_task(stderr.drain(process.stderr))
            try:
                async with asyncio.timeout(timeout):
                    await _follow_progress(process, reader, stall, growing)
                    code = await process.wait()
                    await draining
            except TimeoutError:
                raise TimedOut(f"FFmpeg was stopped after its time limit of {timeout:g} s") from None
            finally:
                draining.cancel()
        if code != 0 or _UNFINISHED in stderr.text:
            raise explain(code, stderr.text, args)
        reader.finish()
        elapsed = time.monotonic() - started
        return FFmpegReport(reader.seconds, reader.frames, reader.speed, elapsed, stderr.text[-_TAIL_BYTES:])

    async def capture(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        timeout: float = 60,
        max_bytes: int = 256 * 2**20,
        verbosity: str = "warning",
        limits: ProcessLimits | None = None,
        read: Sequence[Path] = (),
    ) -> CapturedOutput:
        """Run FFmpeg and return its stdout (`-` or `pipe:1` as the output) and stderr.

        Use it for measurements and single images: it reports no progress, and holds all output in memory. `read` is
        as in `run`.

        Raises as `run` does, and FFmpegFailed if stdout exceeds `max_bytes`.
        """
        command = self._command(["-v", verbosity, "-nostats"], args)
        async with self._start(command, args, cwd, limits, read, ()) as process:
            assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
            stderr = _StderrBuffer()
            draining = asyncio.create_task(stderr.drain(process.stderr))
            try:
                async with asyncio.timeout(timeout):
                    stdout = await _read_up_to(process.stdout, max_bytes)
                    code = await process.wait()
                    await draining
            except TimeoutError:
                raise TimedOut(f"FFmpeg was stopped after its time limit of {timeout:g} s") from None
            finally:
                draining.cancel()
        if code != 0:
            raise explain(code, stderr.text, args)
        return CapturedOutput(stdout, stderr.text)

    def _start(
        self,
        command: Sequence[str],
        args: Sequence[str],
        cwd: Path | None,
        limits: ProcessLimits | None,
        read: Sequence[Path],
        write: Sequence[Path],
    ) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        access = ffmpeg_access(self.sandbox, self.binary, args, cwd, read=read, write=write)
        return start_child(command, cwd=cwd, env=_environment(), limits=limits or self.limits, access=access)

    def _command(self, flags: Sequence[str], args: Sequence[str]) -> list[str]:
        graphs = ["-filter_complex_threads", str(self.threads)]
        return [str(self.binary), "-hide_banner", "-nostdin", *flags, *graphs, "-y", *args]


def usable_processors() -> int:
    """Return the number of CPUs this process may use, from its affinity and its cgroup quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return allowed


def _environment() -> dict[str, str]:
    return child_environment(AV_LOG_FORCE_NOCOLOR="1", FONTCONFIG_FILE=str(FONTCONFIG))


async def _follow_progress(
    process: asyncio.subprocess.Process, reader: ProgressReader, stall: float, growing: Sequence[Path]
) -> None:
    """Read progress until FFmpeg closes the pipe. Raises FFmpegFailed after `stall` seconds without progress."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    now = asyncio.get_running_loop().time
    advanced_at, bytes_read, size = now(), _bytes_read(process.pid), 0
    while True:
        try:
            async with asyncio.timeout_at(advanced_at + stall) as stall_timeout:
                line = await process.stdout.readline()
        except TimeoutError:
            if not stall_timeout.expired():
                raise
            # With +faststart, FFmpeg reads the whole output again to move its index, and reports no progress.
            read_before, bytes_read = bytes_read, _bytes_read(process.pid)
            size_before, size = size, await asyncio.to_thread(_total_size, growing)
            if bytes_read > read_before + _MIN_BYTES_READ or size > size_before:
                advanced_at = now()
                continue
            raise FFmpegFailed(f"FFmpeg made no progress for {stall:g} s and was stopped") from None
        if not line:
            return
        if reader.read(line.decode("ascii", "replace").strip()):
            advanced_at = now()


def _bytes_read(pid: int) -> int:
    """Return the bytes that a process has read; 0 if the system does not report it."""
    try:
        return int(psutil.Process(pid).io_counters().read_chars)
    except (psutil.Error, AttributeError):
        return 0


def _total_size(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.exists())


async def _read_up_to(stdout: asyncio.StreamReader, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await stdout.read(1 << 20):
        size += len(chunk)
        if size > limit:
            raise FFmpegFailed(f"FFmpeg wrote more than the {limit:,} bytes expected")
        chunks.append(chunk)
    return b"".join(chunks)


@dataclass(slots=True)
class _StderrBuffer:
    """The head and the tail of stderr: the cause of an error is at the head, its effects are at the tail."""

    head: bytearray = field(default_factory=bytearray)
    tail: deque[bytes] = field(default_factory=deque)
    tail_size: int = 0

    async def drain(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(_TAIL_BYTES):
            space = _HEAD_BYTES - len(self.head)
            self.head += chunk[: max(0, space)]
            self._append_tail(chunk[max(0, space) :])

    def _append_tail(self, chunk: bytes) -> None:
        self.tail.append(chunk)
        self.tail_size += len(chunk)
        while self.tail and self.tail_size - len(self.tail[0]) >= _TAIL_BYTES:
            self.tail_size -= len(self.tail.popleft())

    @property
    def text(self) -> str:
        return (bytes(self.head) + b"".join(self.tail)).decode("utf-8", "replace")
