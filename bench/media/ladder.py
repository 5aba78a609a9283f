"""A ladder of three renditions: one decode or three, with Callsheet and with hand-written commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.children import Child
from bench.media import inputs
from bench.media.ffmpeg import ffmpeg
from bench.media.processes import TIMEOUT, callsheet
from bench.media.turns import COLUMNS, ROUNDS, Candidate, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

RUNGS = {"1080p": (1920, 1080, 4_500_000), "720p": (1280, 720, 2_500_000), "480p": (854, 480, 1_200_000)}
PRESET = "veryfast"
ONCE, THRICE = "Callsheet, renditions", "Callsheet, three transcodes"
FFMPEG_ONCE, FFMPEG_THRICE = "FFmpeg, one decode and split", "FFmpeg, three commands"
MAX_CPU_RATIO = 1.1


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Run all candidates in turn."""
    folder, rounds = stores.folder / "media-ladder", min(ROUNDS, sizes.rounds)
    finding = Finding(
        "media-ladder",
        f"{sizes.ladder_seconds} s in 1080p to {', '.join(RUNGS)}, x264 {PRESET}; median of {rounds}",
        COLUMNS,
    )
    progress("creating the source")
    source = inputs.clip(
        folder,
        "source.mp4",
        "mandelbrot",
        size="1920x1080",
        rate="30",
        seconds=sizes.ladder_seconds,
        audio="sine=frequency=300",
        codec_args=("-crf", "20"),
    )
    with callsheet(stores, folder) as process:
        _transcode(process, source, folder, resolution="240p", preset="ultrafast")  # warm-up
        candidates = [
            Candidate(ONCE, lambda: _transcode(process, source, folder, renditions=_renditions())),
            Candidate(THRICE, lambda: [_transcode(process, source, folder, **rung) for rung in _renditions()]),
            Candidate(FFMPEG_ONCE, lambda: _split(source, folder)),
            Candidate(FFMPEG_THRICE, lambda: _three_commands(source, folder)),
        ]
        turns = in_turns(candidates, rounds, stores, finding, progress)
    finding.rows = turns.rows(FFMPEG_ONCE)
    cpu, wall = turns.cpu(ONCE) / turns.cpu(THRICE), turns.wall(ONCE) / turns.wall(THRICE)
    ffmpeg_ratio = turns.cpu(ONCE) / turns.cpu(FFMPEG_ONCE)
    finding.verdicts = [
        Verdict(f"{ONCE}: less CPU than {THRICE}", ratio(cpu, 1), cpu < 1),
        Verdict(f"{ONCE}: faster than {THRICE}", ratio(wall, 1), wall < 1),
        Verdict(
            f"{ONCE}: CPU at most {MAX_CPU_RATIO} × {FFMPEG_ONCE}",
            ratio(ffmpeg_ratio, 1),
            ffmpeg_ratio <= MAX_CPU_RATIO,
        ),
    ]
    return finding


def _renditions() -> list[dict[str, Any]]:
    return [{"resolution": name, "bitrate": bits} for name, (_, _, bits) in RUNGS.items()]


def _transcode(process: Child, source: Path, folder: Path, **options: Any) -> None:
    params = {"src": str(source), "preset": PRESET, **options}
    output = fresh(folder / "callsheet")
    process.ask("operation", TIMEOUT, name="transcode", params=params, folder=str(output), cached=False)


def _codec_args(bits: int) -> list[str]:
    rate = ["-b:v", str(bits), "-maxrate", str(bits * 3 // 2), "-bufsize", str(bits * 3)]
    return ["-c:v", "libx264", "-preset", PRESET, *rate, "-pix_fmt", "yuv420p", "-movflags", "+faststart"]


def _split(source: Path, folder: Path) -> None:
    graph = "[0:v]split=3[a][b0][c0];[b0]scale=1280:720[b];[c0]scale=854:480[c]"
    outputs: list[Any] = []
    for label, (name, (_, _, bits)) in zip("abc", RUNGS.items(), strict=True):
        outputs += [
            "-map",
            f"[{label}]",
            "-map",
            "0:a",
            *_codec_args(bits),
            "-c:a",
            "copy",
            folder / f"split-{name}.mp4",
        ]
    ffmpeg("-i", source, "-filter_complex", graph, *outputs)


def _three_commands(source: Path, folder: Path) -> None:
    for name, (width, height, bits) in RUNGS.items():
        size = ["-vf", f"scale={width}:{height}"] if height != 1080 else []
        ffmpeg("-i", source, *size, *_codec_args(bits), "-c:a", "copy", folder / f"alone-{name}.mp4")
