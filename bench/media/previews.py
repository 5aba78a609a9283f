"""Preview frames and a sprite sheet of a long video: Callsheet, FFmpeg and PyAV."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from bench.children import Child
from bench.media import inputs
from bench.media.ffmpeg import command, ffmpeg
from bench.media.processes import TIMEOUT, callsheet, pyav
from bench.media.turns import COLUMNS, ROUNDS, Candidate, Turns, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

COUNT, WIDTH, COLUMNS_OF_SHEET = 20, 320, 5
KEYFRAME_INTERVALS = (60, 250)
"""Keyframe intervals in frames: a video for streaming, and the default of x264."""

ALL, NOKEY = "FFmpeg, fps filter on all frames", "FFmpeg, fps filter on keyframes"
COMMANDS, INPUTS = f"FFmpeg, {COUNT} commands that seek", f"FFmpeg, {COUNT} inputs that seek"
SEEKS, EXACT = "PyAV, keyframes", "PyAV, exact"
CALLSHEET, CALLSHEET_AUTO, CALLSHEET_EXACT = "Callsheet, keyframes", "Callsheet, auto", "Callsheet, exact"
SPRITE_NOKEY, SPRITE_SEEKS, SPRITE = "sprite: FFmpeg, keyframes", "sprite: PyAV, keyframes", "sprite: Callsheet"
COMPARED_WITH = {
    CALLSHEET: [NOKEY, SEEKS],
    CALLSHEET_EXACT: [ALL, COMMANDS, INPUTS, EXACT],
    SPRITE: [SPRITE_NOKEY, SPRITE_SEEKS],
}
"""The candidates that each Callsheet candidate is compared with."""


@dataclass(frozen=True)
class Source:
    """The source, and the folder of the previews."""

    path: Path
    seconds: float
    folder: Path

    @property
    def times(self) -> list[float]:
        """Sample times in seconds: the centers of equal parts."""
        return [(number + 0.5) * self.seconds / COUNT for number in range(COUNT)]


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Run all candidates in turn, on a video with many keyframes and on one with few."""
    folder, rounds = stores.folder / "media-previews", min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-previews",
        f"{COUNT} images {WIDTH} wide of {sizes.previewed_seconds} s in 1080p; median of {rounds}",
        [*COLUMNS, "off by s"],
    )
    with callsheet(stores, folder) as process, pyav() as pyav_process:
        for interval in KEYFRAME_INTERVALS:
            progress(f"creating a video with a keyframe every {interval} frames")
            path = inputs.long_video(folder, seconds=sizes.previewed_seconds, keyframe_interval=interval)
            source = Source(path, sizes.previewed_seconds, folder / "images")
            candidates = _candidates(source, process, pyav_process, f", GOP {interval}")
            _by_callsheet(process, source, count=COUNT)  # warm-up
            turns = in_turns(candidates, rounds, stores, finding, progress)
            _report(finding, turns, f", GOP {interval}")
    return finding


def _candidates(source: Source, process: Child, pyav_process: Child, label: str) -> list[Candidate]:
    def seek(exact: bool) -> list[float]:
        request = {"path": str(source.path), "times": source.times, "width": WIDTH, "folder": str(fresh(source.folder))}
        return _errors(pyav_process.ask("frames", TIMEOUT, exact=exact, **request)["times"], source)

    def sprite() -> None:
        request = {"path": str(source.path), "times": source.times, "width": WIDTH, "folder": str(fresh(source.folder))}
        pyav_process.ask("sprite", TIMEOUT, columns=COLUMNS_OF_SHEET, **request)

    def preview(accuracy: str) -> list[float]:
        return _errors(_by_callsheet(process, source, count=COUNT, accuracy=accuracy)["times"], source)

    sheet = {"count": COUNT, "columns": COLUMNS_OF_SHEET, "width": WIDTH}
    return [
        Candidate(ALL + label, lambda: _filtered(source)),
        Candidate(NOKEY + label, lambda: _filtered(source, "-skip_frame", "nokey")),
        Candidate(COMMANDS + label, lambda: _many_commands(source)),
        Candidate(INPUTS + label, lambda: _many_inputs(source)),
        Candidate(SEEKS + label, lambda: seek(exact=False)),
        Candidate(EXACT + label, lambda: seek(exact=True)),
        Candidate(CALLSHEET + label, lambda: preview("keyframe")),
        Candidate(CALLSHEET_AUTO + label, lambda: preview("auto")),
        Candidate(CALLSHEET_EXACT + label, lambda: preview("exact")),
        Candidate(SPRITE_NOKEY + label, lambda: _tiled(source)),
        Candidate(SPRITE_SEEKS + label, sprite),
        Candidate(SPRITE + label, lambda: _by_callsheet(process, source, sprite=sheet, accuracy="keyframe")),
    ]


def _filtered(source: Source, *args: str) -> None:
    filters = f"fps={COUNT}/{source.seconds:g},scale={WIDTH}:-2"
    ffmpeg(*args, "-i", source.path, "-an", "-vf", filters, "-q:v", 4, fresh(source.folder) / "%03d.jpg")


def _tiled(source: Source) -> None:
    rows = COUNT // COLUMNS_OF_SHEET
    filters = f"fps={COUNT}/{source.seconds:g},scale={WIDTH}:-2,tile={COLUMNS_OF_SHEET}x{rows}"
    one = ("-frames:v", 1, "-q:v", 4, "-update", 1)
    ffmpeg("-skip_frame", "nokey", "-i", source.path, "-an", "-vf", filters, *one, fresh(source.folder) / "sprite.jpg")


def _many_commands(source: Source) -> None:
    """Run one command per image, two at a time."""
    folder, waiting = fresh(source.folder), []
    for number, time in enumerate(source.times):
        args = ["-v", "error", "-y", "-threads", 1, "-ss", time, "-i", source.path, "-an", "-frames:v", 1]
        args += ["-vf", f"scale={WIDTH}:-2", "-q:v", 4, "-update", 1, folder / f"{number:03d}.jpg"]
        waiting.append(subprocess.Popen(command(args)))
        if number % 2:
            _wait(waiting)
    _wait(waiting)


def _wait(processes: "list[subprocess.Popen[bytes]]") -> None:
    while processes:
        if code := processes.pop().wait():
            raise RuntimeError(f"FFmpeg ended with {code}")


def _many_inputs(source: Source) -> None:
    folder = fresh(source.folder)
    args: list[Any] = []
    for time in source.times:
        args += ["-threads", 1, "-ss", time, "-i", source.path]
    for number in range(COUNT):
        args += ["-map", f"{number}:v", "-frames:v", 1, "-vf", f"scale={WIDTH}:-2", "-q:v", 4, "-update", 1]
        args += [folder / f"{number:03d}.jpg"]
    ffmpeg(*args)


def _by_callsheet(process: Child, source: Source, **options: Any) -> dict[str, Any]:
    params = {"src": str(source.path), **({} if "sprite" in options else {"width": WIDTH}), **options}
    response = process.ask(
        "operation", TIMEOUT, name="preview", params=params, folder=str(fresh(source.folder)), cached=False
    )
    result: dict[str, Any] = response["result"]
    return result


def _errors(times: list[float], source: Source) -> list[float]:
    """Return the distance of each requested time from the nearest image. Equal images may have been stored once."""
    return [min(abs(time - requested) for time in times) for requested in source.times]


def _report(finding: Finding, turns: Turns, label: str) -> None:
    def mean_error(name: str) -> list[str]:
        errors = turns.outcomes[name]
        return [f"{mean(errors):.2f}" if isinstance(errors, list) else ""]

    finding.rows += turns.rows(ALL + label, mean_error)
    for name, competitors in COMPARED_WITH.items():
        fastest = min((each + label for each in competitors), key=turns.wall)
        cpu, wall = (of(name + label) / of(fastest) for of in (turns.cpu, turns.wall))
        figure = f"wall {ratio(wall, 1)}, CPU {ratio(cpu, 1)}"
        finding.verdicts.append(Verdict(f"{name}{label}: not slower than {fastest}", figure, wall <= 1))
