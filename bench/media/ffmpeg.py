"""FFmpeg commands of the benchmarks, and measurements of their output."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from callsheet.media.encoding.loudness import METER, Loudness, read_meter
from callsheet.media.ffmpeg.binary import find_ffmpeg
from callsheet.media.fonts import FONTCONFIG
from callsheet.settings import Settings

BINARY = find_ffmpeg(Settings(_env_file=None))  # type: ignore[call-arg]
"""The FFmpeg binary of Callsheet, used by all candidates."""

# All candidates use the same fonts.
ENVIRONMENT = {**os.environ, "FONTCONFIG_FILE": str(FONTCONFIG)}


@dataclass(frozen=True)
class Facts:
    """Properties of a video file."""

    frames: int
    seconds: float
    bytes: int


def ffmpeg(*args: str | Path | float, folder: Path | None = None) -> None:
    """Run FFmpeg. Raises RuntimeError with its error output."""
    _run(["-v", "error", "-y", *args], folder)


def command(args: Sequence[str | Path | float]) -> list[str]:
    """Return the full command line."""
    return [str(BINARY), "-hide_banner", "-nostdin", *map(str, args)]


def version() -> str:
    """Return the version of FFmpeg."""
    output = subprocess.run([BINARY, "-version"], capture_output=True, text=True, check=True).stdout
    return output.split()[2]


def loudness(*args: str | Path | float, audio: str, folder: Path | None = None) -> Loudness:
    """Measure the loudness of the output `[audio]` of a filter graph."""
    meter_args = ["-filter_complex", f"{audio};[audio]{METER}[measured]", "-map", "[measured]", "-f", "null", "-"]
    return read_meter(_run(["-v", "info", "-nostats", *args, *meter_args], folder))


def facts(path: Path) -> Facts:
    """Return the properties of a video file. Its frames are counted."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = sum(1 for packet in container.demux(video) if packet.size)
        return Facts(frames, (container.duration or 0) / av.time_base, path.stat().st_size)


def vmaf(path: Path, reference: Path) -> float:
    """Return the VMAF score of a video against a reference, from 0 to 100, from every fifth frame."""
    graph = "[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS[b];[a][b]libvmaf=n_threads=2:n_subsample=5"
    output = _run(["-v", "info", "-nostats", "-i", path, "-i", reference, "-lavfi", graph, "-f", "null", "-"], None)
    if (score := re.search(r"VMAF score: ([\d.]+)", output)) is None:
        raise RuntimeError(f"no VMAF score in: {output[-500:]}")
    return float(score[1])


def _run(args: Sequence[str | Path | float], folder: Path | None) -> str:
    result = subprocess.run(
        command(args), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode:
        raise RuntimeError(f"FFmpeg ended with {result.returncode}: {result.stderr.strip()[:1000]}")
    return result.stderr
