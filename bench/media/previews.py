"""Preview frames and a sprite sheet of a long film: Callsheet beside the ways that FFmpeg and PyAV offer."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from bench.children import Child
from bench.media import inputs
from bench.media.ffmpeg import command, ffmpeg
from bench.media.processes import LONGEST, callsheet, pyav
from bench.media.turns import COLUMNS, ROUNDS, Turns, Way, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

COUNT, WIDTH, COLUMNS_OF_SHEET = 20, 320, 5
KEYS = (60, 250)
"""Frames from one key frame to the next: a film made for streaming, and one by x264's habit."""

ALL, NOKEY = "FFmpeg, fps filter on all frames", "FFmpeg, fps filter on key frames"
COMMANDS, INPUTS = f"FFmpeg, {COUNT} commands that seek", f"FFmpeg, {COUNT} inputs that seek"
SEEKS, EXACT = "PyAV, key frames", "PyAV, exact"
OURS, OURS_AUTO, OURS_EXACT = "Callsheet, key frames", "Callsheet, auto", "Callsheet, exact"
SPRITE_NOKEY, SPRITE_SEEKS, SPRITE = "sprite: FFmpeg, key frames", "sprite: PyAV, key frames", "sprite: Callsheet"
OTHERS = {OURS: [NOKEY, SEEKS], OURS_EXACT: [ALL, COMMANDS, INPUTS, EXACT], SPRITE: [SPRITE_NOKEY, SPRITE_SEEKS]}
"""The other ways to what each of ours makes."""


@dataclass(frozen=True)
class Film:
    """What is previewed, and where the pictures go."""

    path: Path
    seconds: float
    folder: Path

    @property
    def times(self) -> list[float]:
        """The middles of equal parts."""
        return [(number + 0.5) * self.seconds / COUNT for number in range(COUNT)]


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Take the pictures in every way in turn, from a film with many key frames and from one with few."""
    folder, rounds = stores.folder / "media-previews", min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-previews",
        f"{COUNT} pictures {WIDTH} wide of {sizes.previewed_seconds} s in 1080p; median of {rounds}",
        [*COLUMNS, "off by s"],
    )
    with callsheet(stores, folder) as ours, pyav() as theirs:
        for keys in KEYS:
            progress(f"making a film with a key frame every {keys} frames")
            path = inputs.long_film(folder, seconds=sizes.previewed_seconds, keys=keys)
            film = Film(path, sizes.previewed_seconds, folder / "pictures")
            ways = _ways(film, ours, theirs, f", GOP {keys}")
            _by_callsheet(ours, film, count=COUNT)  # warm from here on
            turns = in_turns(ways, rounds, stores, finding, progress)
            _report(finding, turns, f", GOP {keys}")
    return finding


def _ways(film: Film, ours: Child, theirs: Child, told: str) -> list[Way]:
    def seeking(exact: bool) -> list[float]:
        asked = {"path": str(film.path), "times": film.times, "width": WIDTH, "folder": str(fresh(film.folder))}
        return _off(theirs.ask("frames", LONGEST, exact=exact, **asked)["times"], film)

    def sprite() -> None:
        asked = {"path": str(film.path), "times": film.times, "width": WIDTH, "folder": str(fresh(film.folder))}
        theirs.ask("sprite", LONGEST, columns=COLUMNS_OF_SHEET, **asked)

    def preview(accuracy: str) -> list[float]:
        return _off(_by_callsheet(ours, film, count=COUNT, accuracy=accuracy)["times"], film)

    sheet = {"count": COUNT, "columns": COLUMNS_OF_SHEET, "width": WIDTH}
    return [
        Way(ALL + told, lambda: _filtered(film)),
        Way(NOKEY + told, lambda: _filtered(film, "-skip_frame", "nokey")),
        Way(COMMANDS + told, lambda: _one_by_one(film)),
        Way(INPUTS + told, lambda: _many_inputs(film)),
        Way(SEEKS + told, lambda: seeking(exact=False)),
        Way(EXACT + told, lambda: seeking(exact=True)),
        Way(OURS + told, lambda: preview("keyframe")),
        Way(OURS_AUTO + told, lambda: preview("auto")),
        Way(OURS_EXACT + told, lambda: preview("exact")),
        Way(SPRITE_NOKEY + told, lambda: _tiled(film)),
        Way(SPRITE_SEEKS + told, sprite),
        Way(SPRITE + told, lambda: _by_callsheet(ours, film, sprite=sheet, accuracy="keyframe")),
    ]


def _filtered(film: Film, *words: str) -> None:
    picked = f"fps={COUNT}/{film.seconds:g},scale={WIDTH}:-2"
    ffmpeg(*words, "-i", film.path, "-an", "-vf", picked, "-q:v", 4, fresh(film.folder) / "%03d.jpg")


def _tiled(film: Film) -> None:
    rows = COUNT // COLUMNS_OF_SHEET
    picked = f"fps={COUNT}/{film.seconds:g},scale={WIDTH}:-2,tile={COLUMNS_OF_SHEET}x{rows}"
    one = ("-frames:v", 1, "-q:v", 4, "-update", 1)
    ffmpeg("-skip_frame", "nokey", "-i", film.path, "-an", "-vf", picked, *one, fresh(film.folder) / "sprite.jpg")


def _one_by_one(film: Film) -> None:
    """One command for each picture, two at a time."""
    folder, waiting = fresh(film.folder), []
    for number, time in enumerate(film.times):
        words = ["-v", "error", "-y", "-threads", 1, "-ss", time, "-i", film.path, "-an", "-frames:v", 1]
        words += ["-vf", f"scale={WIDTH}:-2", "-q:v", 4, "-update", 1, folder / f"{number:03d}.jpg"]
        waiting.append(subprocess.Popen(command(words)))
        if number % 2:
            _wait(waiting)
    _wait(waiting)


def _wait(processes: "list[subprocess.Popen[bytes]]") -> None:
    while processes:
        if code := processes.pop().wait():
            raise RuntimeError(f"FFmpeg ended with {code}")


def _many_inputs(film: Film) -> None:
    folder = fresh(film.folder)
    words: list[Any] = []
    for time in film.times:
        words += ["-threads", 1, "-ss", time, "-i", film.path]
    for number in range(COUNT):
        words += ["-map", f"{number}:v", "-frames:v", 1, "-vf", f"scale={WIDTH}:-2", "-q:v", 4, "-update", 1]
        words += [folder / f"{number:03d}.jpg"]
    ffmpeg(*words)


def _by_callsheet(ours: Child, film: Film, **asked: Any) -> dict[str, Any]:
    params = {"src": str(film.path), **({} if "sprite" in asked else {"width": WIDTH}), **asked}
    told = ours.ask("operation", LONGEST, name="preview", params=params, folder=str(fresh(film.folder)), cached=False)
    result: dict[str, Any] = told["result"]
    return result


def _off(times: list[float], film: Film) -> list[float]:
    """Return how far each wanted moment is from the picture taken for it; equal pictures may have been taken once."""
    return [min(abs(time - wanted) for time in times) for wanted in film.times]


def _report(finding: Finding, turns: Turns, told: str) -> None:
    def off(name: str) -> list[str]:
        found = turns.outcomes[name]
        return [f"{mean(found):.2f}" if isinstance(found, list) else ""]

    finding.rows += turns.rows(ALL + told, off)
    for ours, others in OTHERS.items():
        quickest = min((name + told for name in others), key=turns.wall)
        cpu, wall = (of(ours + told) / of(quickest) for of in (turns.cpu, turns.wall))
        figure = f"wall {ratio(wall, 1)}, CPU {ratio(cpu, 1)}"
        finding.verdicts.append(Verdict(f"{ours}{told}: no longer than {quickest}", figure, wall <= 1))
