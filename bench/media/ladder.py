"""A ladder of three sizes: one decode against three runs, with Callsheet and by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.children import Child
from bench.media import inputs
from bench.media.ffmpeg import ffmpeg
from bench.media.processes import LONGEST, callsheet
from bench.media.turns import COLUMNS, ROUNDS, Way, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

RUNGS = {"1080p": (1920, 1080, 4_500_000), "720p": (1280, 720, 2_500_000), "480p": (854, 480, 1_200_000)}
PRESET = "veryfast"
ONCE, THRICE = "Callsheet, renditions", "Callsheet, three transcodes"
BY_HAND, BY_HAND_THRICE = "FFmpeg, one decode and split", "FFmpeg, three commands"
PROMISED_CPU = 1.1


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Make the ladder in every way in turn."""
    folder, rounds = stores.folder / "media-ladder", min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-ladder",
        f"{sizes.ladder_seconds} s in 1080p to {', '.join(RUNGS)}, x264 {PRESET}; median of {rounds}",
        COLUMNS,
    )
    progress("making the source")
    source = inputs.clip(
        folder,
        "source.mp4",
        "mandelbrot",
        size="1920x1080",
        rate="30",
        seconds=sizes.ladder_seconds,
        sound="sine=frequency=300",
        coding=("-crf", "20"),
    )
    with callsheet(stores, folder) as ours:
        _transcode(ours, source, folder, resolution="240p", preset="ultrafast")  # warm from here on
        ways = [
            Way(ONCE, lambda: _transcode(ours, source, folder, renditions=_renditions())),
            Way(THRICE, lambda: [_transcode(ours, source, folder, **rung) for rung in _renditions()]),
            Way(BY_HAND, lambda: _split(source, folder)),
            Way(BY_HAND_THRICE, lambda: _three_commands(source, folder)),
        ]
        turns = in_turns(ways, rounds, stores, finding, progress)
    finding.rows = turns.rows(BY_HAND)
    cpu, wall = turns.cpu(ONCE) / turns.cpu(THRICE), turns.wall(ONCE) / turns.wall(THRICE)
    by_hand = turns.cpu(ONCE) / turns.cpu(BY_HAND)
    finding.verdicts = [
        Verdict(f"{ONCE}: less CPU than {THRICE}", ratio(cpu, 1), cpu < 1),
        Verdict(f"{ONCE}: sooner done than {THRICE}", ratio(wall, 1), wall < 1),
        Verdict(f"{ONCE}: CPU at most {PROMISED_CPU} × {BY_HAND}", ratio(by_hand, 1), by_hand <= PROMISED_CPU),
    ]
    return finding


def _renditions() -> list[dict[str, Any]]:
    return [{"resolution": name, "bitrate": bits} for name, (_, _, bits) in RUNGS.items()]


def _transcode(ours: Child, source: Path, folder: Path, **asked: Any) -> None:
    params = {"src": str(source), "preset": PRESET, **asked}
    made = fresh(folder / "callsheet")
    ours.ask("operation", LONGEST, name="transcode", params=params, folder=str(made), cached=False)


def _coding(bits: int) -> list[str]:
    rate = ["-b:v", str(bits), "-maxrate", str(bits * 3 // 2), "-bufsize", str(bits * 3)]
    return ["-c:v", "libx264", "-preset", PRESET, *rate, "-pix_fmt", "yuv420p", "-movflags", "+faststart"]


def _split(source: Path, folder: Path) -> None:
    graph = "[0:v]split=3[a][b0][c0];[b0]scale=1280:720[b];[c0]scale=854:480[c]"
    outputs: list[Any] = []
    for label, (name, (_, _, bits)) in zip("abc", RUNGS.items(), strict=True):
        outputs += ["-map", f"[{label}]", "-map", "0:a", *_coding(bits), "-c:a", "copy", folder / f"split-{name}.mp4"]
    ffmpeg("-i", source, "-filter_complex", graph, *outputs)


def _three_commands(source: Path, folder: Path) -> None:
    for name, (width, height, bits) in RUNGS.items():
        size = ["-vf", f"scale={width}:{height}"] if height != 1080 else []
        ffmpeg("-i", source, *size, *_coding(bits), "-c:a", "copy", folder / f"alone-{name}.mp4")
