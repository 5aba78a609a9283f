"""Overhead of a job beyond its FFmpeg command: a tiny transcode by an idle worker, and the bare command."""

import os
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import busy_share
from bench.media import inputs
from bench.media.ffmpeg import BINARY, ENVIRONMENT
from bench.media.processes import TIMEOUT, callsheet
from bench.media.turns import fresh
from bench.report import Finding, Row, Verdict, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores

MAX_OVERHEAD = 0.150
WARM_UPS = 3

_RECORDER = """#!/bin/sh
printf '%s\\0' "$PWD" "$@" > "{folder}/$$"
exec "{binary}" "$@"
"""


@dataclass(frozen=True)
class Command:
    """The args and the working folder of an FFmpeg command."""

    folder: Path
    args: list[str]


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Run the job and the command alternately."""
    folder = stores.folder / "media-overhead"
    source = inputs.clip(folder, "source.mp4", "testsrc2", size="320x180", rate="30", seconds=1, audio="sine")
    params = {"src": str(source), "width": 160, "preset": "ultrafast"}
    progress("recording the command")
    bare = record_commands(stores, folder, "transcode", params)
    finding = Finding(
        "media-overhead", f"A transcode of one second in 320x180, in ms; {sizes.tiny_jobs} of each", ["median", "95 %"]
    )
    jobs: list[float] = []
    commands: list[float] = []
    with callsheet(stores, folder, worker=folder / "worker") as process:
        for number in range(-WARM_UPS, sizes.tiny_jobs):
            progress(f"{number + 1}/{sizes.tiny_jobs}")
            finding.noise.append(busy_share(0.2))
            jobs.append(process.ask("job", TIMEOUT, name="transcode", params=params)["seconds"])
            commands.append(_timed(bare))
    jobs, commands = jobs[WARM_UPS:], commands[WARM_UPS:]
    overheads = [job - command for job, command in zip(jobs, commands, strict=True)]
    finding.rows = [
        _row("job, claimed → result written", jobs),
        _row("the same command, bare", commands),
        _row("overhead of the job", overheads),
    ]
    finding.verdicts = [
        Verdict("overhead below 150 ms", f"{milliseconds(median(overheads))} ms", median(overheads) < MAX_OVERHEAD)
    ]
    return finding


def record_commands(stores: Stores, folder: Path, operation: str, params: dict[str, Any]) -> list[Command]:
    """Return the FFmpeg commands that an operation runs on media, in order of their starts."""
    notes, program = fresh(folder / "notes"), folder / "recorder"
    program.write_text(_RECORDER.format(folder=notes, binary=BINARY))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with callsheet(stores, folder, binary=program) as process:
        work = str(fresh(folder / "recorded"))
        process.ask("operation", TIMEOUT, name=operation, params=params, folder=work, cached=False)
    commands = []
    for path in sorted(notes.iterdir(), key=lambda note: note.stat().st_mtime_ns):
        working_folder, *args = path.read_text().rstrip("\0").split("\0")
        if "-i" in args:  # other commands query the capabilities of FFmpeg
            commands.append(Command(Path(working_folder), args))
    return commands


def _timed(commands: Sequence[Command]) -> float:
    for command in commands:
        command.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for command in commands:
        argv = [os.fspath(BINARY), *command.args]
        result = subprocess.run(argv, cwd=command.folder, env=ENVIRONMENT, capture_output=True, check=False)
        if result.returncode:
            raise RuntimeError(f"FFmpeg ended with {result.returncode}: {result.stderr[-500:]!r}")
    return time.perf_counter() - started


def _row(name: str, seconds: list[float]) -> Row:
    values = [milliseconds(median(seconds)), milliseconds(percentile(seconds, 0.95))]
    return Row(name, values, {"seconds": seconds})
