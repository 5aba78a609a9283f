"""The only place that starts FFmpeg."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from callsheet.domain.errors import FFmpegFailed, TimedOut
from callsheet.media.ffmpeg.error_messages import explain
from callsheet.media.ffmpeg.progress import FFmpegProgress, ProgressReader
from callsheet.media.fonts import FONTCONFIG
from callsheet.processes.child import ProcessLimits, child_environment, start_child

_HEAD_BYTES = 16 * 1024
_TAIL_BYTES = 64 * 1024
_UNFINISHED = "Error writing trailer"
"""Older builds report success even so, when the disk was full at the end."""
_REAL_READING = 2**20
_USUAL_LIMITS = ProcessLimits()


@dataclass(frozen=True, slots=True)
class FFmpegReport:
    """How a run of FFmpeg went."""

    seconds: float
    """Length of what was written, as FFmpeg counts it."""
    frames: int | None
    """Pictures written; None without a video stream."""
    speed: float | None
    """Seconds written per second of work."""
    elapsed: float
    """Seconds that the run took."""
    stderr: str
    """The last of what FFmpeg said."""


@dataclass(frozen=True, slots=True)
class CapturedOutput:
    """What FFmpeg wrote to its pipes."""

    stdout: bytes
    stderr: str


class FFmpeg:
    """Runs FFmpeg, one process per call; a process ends with the call, however the call ends."""

    def __init__(self, binary: Path, *, threads: int | None = None, limits: ProcessLimits = _USUAL_LIMITS) -> None:
        """Use the given binary, with `threads` for each filter graph; None: one per usable processor.

        `limits` are those of runs that name none.
        """
        self.binary = binary
        self.threads = threads or usable_processors()
        self.limits = limits

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
    ) -> FFmpegReport:
        """Run FFmpeg with the arguments that follow its global flags.

        `on_progress` gets the share done, from 0 to 1 and never falling, reckoned against `duration`, the
        planned seconds of output; it also tells the speed and the time left. `stall` is how many seconds may pass
        without headway; that the files in `growing` grow is headway, too.

        Raises FFmpegFailed when FFmpeg refuses, hangs, uses too much memory or writes far beyond what was planned,
        TimedOut after `timeout` seconds, DiskFull, and Transient when the machine's memory runs out. Exit status 0
        does not mean that the output is whole: check it.
        """
        watched = ProgressReader(duration, on_progress)
        flags = ["-v", verbosity, "-nostats", "-stats_period", "0.5", "-progress", "pipe:1"]
        begun = time.monotonic()
        command = self._command(flags, args)
        async with start_child(command, cwd=cwd, env=_environment(), limits=limits or self.limits) as process:
            assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
            stderr = _StderrBuffer()
            draining = asyncio.create_task(stderr.drain(process.stderr))
            try:
                async with asyncio.timeout(timeout):
                    await _follow_progress(process, watched, stall, growing)
                    code = await process.wait()
                    await draining
            except TimeoutError:
                raise TimedOut(f"FFmpeg was stopped after its time limit of {timeout:g} s") from None
            finally:
                draining.cancel()
        if code != 0 or _UNFINISHED in stderr.text:
            raise explain(code, stderr.text, args)
        watched.finish()
        elapsed = time.monotonic() - begun
        return FFmpegReport(watched.seconds, watched.frames, watched.speed, elapsed, stderr.text[-_TAIL_BYTES:])

    async def capture(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        timeout: float = 60,
        max_bytes: int = 256 * 2**20,
        verbosity: str = "warning",
        limits: ProcessLimits | None = None,
    ) -> CapturedOutput:
        """Run FFmpeg and return what it wrote to stdout (`-` or `pipe:1` as the output) and to stderr.

        For measurements and single pictures: there is no progress, and everything is held in memory.

        Raises as `run` does, and FFmpegFailed when there is more than `max_bytes`.
        """
        command = self._command(["-v", verbosity, "-nostats"], args)
        async with start_child(command, cwd=cwd, env=_environment(), limits=limits or self.limits) as process:
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

    def _command(self, flags: Sequence[str], args: Sequence[str]) -> list[str]:
        graphs = ["-filter_complex_threads", str(self.threads)]
        return [str(self.binary), "-hide_banner", "-nostdin", *flags, *graphs, "-y", *args]


def usable_processors() -> int:
    """Return how many processors this process may use, by affinity and by the quota of its control group."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return allowed


def _environment() -> dict[str, str]:
    return child_environment(AV_LOG_FORCE_NOCOLOR="1", FONTCONFIG_FILE=str(FONTCONFIG))


async def _follow_progress(
    process: asyncio.subprocess.Process, watched: ProgressReader, stall: float, growing: Sequence[Path]
) -> None:
    """Read progress reports until FFmpeg closes the pipe."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    clock = asyncio.get_running_loop().time
    advanced, read, size = clock(), _bytes_read(process.pid), 0
    while True:
        try:
            async with asyncio.timeout_at(advanced + stall) as patience:
                line = await process.stdout.readline()
        except TimeoutError:
            if not patience.expired():
                raise
            # Moving the index to the front of a long film reads all of it again, and reports nothing.
            before, read = read, _bytes_read(process.pid)
            smaller, size = size, await asyncio.to_thread(_total_size, growing)
            if read > before + _REAL_READING or size > smaller:
                advanced = clock()
                continue
            raise FFmpegFailed(f"FFmpeg made no headway for {stall:g} s and was stopped") from None
        if not line:
            return
        if watched.read(line.decode("ascii", "replace").strip()):
            advanced = clock()


def _bytes_read(pid: int) -> int:
    """Return how much a process has read so far; 0 where the system does not tell."""
    try:
        return int(psutil.Process(pid).io_counters().read_chars)
    except (psutil.Error, AttributeError):
        return 0


def _total_size(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.exists())


async def _read_up_to(stdout: asyncio.StreamReader, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await stdout.read(1 << 20):
        size += len(piece)
        if size > most:
            raise FFmpegFailed(f"FFmpeg wrote more than the {most:,} bytes expected of it")
        pieces.append(piece)
    return b"".join(pieces)


@dataclass(slots=True)
class _StderrBuffer:
    """The first and the last of a stream; the first error is told at the start, its effects at the end."""

    head: bytearray = field(default_factory=bytearray)
    tail: deque[bytes] = field(default_factory=deque)
    tail_size: int = 0

    async def drain(self, stream: asyncio.StreamReader) -> None:
        while piece := await stream.read(_TAIL_BYTES):
            room = _HEAD_BYTES - len(self.head)
            self.head += piece[: max(0, room)]
            self._keep(piece[max(0, room) :])

    def _keep(self, piece: bytes) -> None:
        self.tail.append(piece)
        self.tail_size += len(piece)
        while self.tail and self.tail_size - len(self.tail[0]) >= _TAIL_BYTES:
            self.tail_size -= len(self.tail.popleft())

    @property
    def text(self) -> str:
        return (bytes(self.head) + b"".join(self.tail)).decode("utf-8", "replace")
