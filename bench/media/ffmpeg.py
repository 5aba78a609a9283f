"""FFmpeg as a person would start it, and what it made."""

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
"""The one that Callsheet uses, for all."""

# All look for fonts in the same places.
ENVIRONMENT = {**os.environ, "FONTCONFIG_FILE": str(FONTCONFIG)}


@dataclass(frozen=True)
class Facts:
    """What a film is."""

    frames: int
    seconds: float
    bytes: int


def ffmpeg(*words: str | Path | float, folder: Path | None = None) -> None:
    """Run FFmpeg; raises RuntimeError with what it complained of."""
    _run(["-v", "error", "-y", *words], folder)


def command(words: Sequence[str | Path | float]) -> list[str]:
    """Return the whole command line."""
    return [str(BINARY), "-hide_banner", "-nostdin", *map(str, words)]


def version() -> str:
    """Return its version."""
    told = subprocess.run([BINARY, "-version"], capture_output=True, text=True, check=True).stdout
    return told.split()[2]


def loudness(*words: str | Path | float, audio: str, folder: Path | None = None) -> Loudness:
    """Measure the sound that a filter graph ending in `[audio]` makes of the inputs."""
    metered = ["-filter_complex", f"{audio};[audio]{METER}[measured]", "-map", "[measured]", "-f", "null", "-"]
    return read_meter(_run(["-v", "info", "-nostats", *words, *metered], folder))


def facts(path: Path) -> Facts:
    """Look at a film; its frames are counted."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = sum(1 for packet in container.demux(video) if packet.size)
        return Facts(frames, (container.duration or 0) / av.time_base, path.stat().st_size)


def likeness(path: Path, reference: Path) -> float:
    """Return how like the reference a film looks to people, by VMAF, from 0 to 100: every fifth frame is compared."""
    graph = "[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS[b];[a][b]libvmaf=n_threads=2:n_subsample=5"
    told = _run(["-v", "info", "-nostats", "-i", path, "-i", reference, "-lavfi", graph, "-f", "null", "-"], None)
    if (score := re.search(r"VMAF score: ([\d.]+)", told)) is None:
        raise RuntimeError(f"no VMAF score in: {told[-500:]}")
    return float(score[1])


def _run(words: Sequence[str | Path | float], folder: Path | None) -> str:
    done = subprocess.run(
        command(words), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise RuntimeError(f"FFmpeg ended with {done.returncode}: {done.stderr.strip()[:1000]}")
    return done.stderr
