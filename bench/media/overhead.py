"""What a job costs beyond its FFmpeg: a tiny transcode by an idle worker beside the same command run bare."""

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
from bench.media.processes import LONGEST, callsheet
from bench.media.turns import fresh
from bench.report import Finding, Row, Verdict, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores

PROMISED = 0.150
WARM_UPS = 3

_NOTING = """#!/bin/sh
printf '%s\\0' "$PWD" "$@" > "{folder}/$$"
exec "{binary}" "$@"
"""


@dataclass(frozen=True)
class Command:
    """What FFmpeg was started with, and where."""

    folder: Path
    words: list[str]


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Run the job and the command in turns."""
    folder = stores.folder / "media-overhead"
    source = inputs.clip(folder, "source.mp4", "testsrc2", size="320x180", rate="30", seconds=1, sound="sine")
    params = {"src": str(source), "width": 160, "preset": "ultrafast"}
    progress("noting the command")
    bare = noted(stores, folder, "transcode", params)
    finding = Finding(
        "media-overhead", f"A transcode of one second in 320x180, in ms; {sizes.tiny_jobs} of each", ["median", "95 %"]
    )
    jobs: list[float] = []
    commands: list[float] = []
    with callsheet(stores, folder, worker=folder / "worker") as ours:
        for number in range(-WARM_UPS, sizes.tiny_jobs):
            progress(f"{number + 1}/{sizes.tiny_jobs}")
            finding.noise.append(busy_share(0.2))
            jobs.append(ours.ask("job", LONGEST, name="transcode", params=params)["seconds"])
            commands.append(_timed(bare))
    jobs, commands = jobs[WARM_UPS:], commands[WARM_UPS:]
    over = [job - command for job, command in zip(jobs, commands, strict=True)]
    finding.rows = [
        _row("job, claimed → result written", jobs),
        _row("the same command, bare", commands),
        _row("the job beyond the command", over),
    ]
    finding.verdicts = [
        Verdict("beyond the command under 150 ms", f"{milliseconds(median(over))} ms", median(over) < PROMISED)
    ]
    return finding


def noted(stores: Stores, folder: Path, operation: str, params: dict[str, Any]) -> list[Command]:
    """Return the commands that work on media in an operation, in the order of their starts."""
    notes, program = fresh(folder / "notes"), folder / "noting"
    program.write_text(_NOTING.format(folder=notes, binary=BINARY))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with callsheet(stores, folder, binary=program) as ours:
        work = str(fresh(folder / "noted"))
        ours.ask("operation", LONGEST, name=operation, params=params, folder=work, cached=False)
    found = []
    for path in sorted(notes.iterdir(), key=lambda note: note.stat().st_mtime_ns):
        home, *words = path.read_text().rstrip("\0").split("\0")
        if "-i" in words:  # the others ask what FFmpeg can do
            found.append(Command(Path(home), words))
    return found


def _timed(commands: Sequence[Command]) -> float:
    for command in commands:
        command.folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    for command in commands:
        argv = [os.fspath(BINARY), *command.words]
        done = subprocess.run(argv, cwd=command.folder, env=ENVIRONMENT, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"FFmpeg ended with {done.returncode}: {done.stderr[-500:]!r}")
    return time.perf_counter() - began


def _row(name: str, seconds: list[float]) -> Row:
    values = [milliseconds(median(seconds)), milliseconds(percentile(seconds, 0.95))]
    return Row(name, values, {"seconds": seconds})
