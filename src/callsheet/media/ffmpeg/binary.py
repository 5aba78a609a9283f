"""Which FFmpeg to use, with what it can do."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from callsheet.domain.errors import CallsheetError, ConfigurationError
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.processes.child import ProcessLimits
from callsheet.processes.memory_limit import usable_memory
from callsheet.settings import Settings

_cache: dict[tuple[Path, int], "FFmpegCapabilities"] = {}


@dataclass(frozen=True, slots=True)
class FFmpegCapabilities:
    """What an FFmpeg binary was built with. A listed hardware encoder may still find no hardware."""

    version: str
    encoders: frozenset[str]
    filters: frozenset[str]
    transitions: frozenset[str]
    """Names that the `xfade` filter knows, without `custom`, whose expressions would run as given."""


def find_ffmpeg(settings: Settings) -> Path:
    """Return the FFmpeg to use: the one in the settings, else `ffmpeg` on the PATH, else the bundled one.

    Raises ConfigurationError that names what was tried.
    """
    if settings.ffmpeg_path is not None:
        chosen = settings.ffmpeg_path.expanduser()
        found = shutil.which(chosen) if chosen.name == str(chosen) else str(chosen)
        if found is None or not os.access(found, os.X_OK) or Path(found).is_dir():
            raise ConfigurationError(f"FFMPEG_PATH is '{chosen}', which is not a program that can be run")
        return Path(found).absolute()
    if on_path := shutil.which("ffmpeg"):
        return Path(on_path).absolute()
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise ConfigurationError(
            "No FFmpeg: FFMPEG_PATH is unset, there is no `ffmpeg` on the PATH, and the package "
            "imageio-ffmpeg brought none for this machine"
        ) from None


def open_ffmpeg(settings: Settings) -> FFmpeg:
    """Return what runs the FFmpeg of the settings, within their limits. Raises ConfigurationError as `find_ffmpeg` does."""
    memory = settings.ffmpeg_memory or usable_memory() * 3 // 4
    limits = ProcessLimits(file_bytes=settings.ffmpeg_max_output, memory_bytes=memory)
    return FFmpeg(find_ffmpeg(settings), limits=limits)


async def capabilities(path: Path) -> FFmpegCapabilities:
    """Return what the binary can do; asked once for each binary and time of its last change.

    Raises ConfigurationError when it does not answer as FFmpeg does.
    """
    key = (path, _last_change(path))
    if key not in _cache:
        _cache[key] = await _query_capabilities(FFmpeg(path))
    return _cache[key]


def _last_change(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise ConfigurationError(f"There is no FFmpeg at '{path}': {error.strerror}") from None


async def _query_capabilities(ffmpeg: FFmpeg) -> FFmpegCapabilities:
    try:
        version = await _query(ffmpeg, "-version")
        encoders = await _query(ffmpeg, "-encoders")
        filters = await _query(ffmpeg, "-filters")
        xfade = await _query(ffmpeg, "-h", "filter=xfade")
    except (CallsheetError, OSError) as error:
        raise ConfigurationError(f"'{ffmpeg.binary}' does not work as FFmpeg: {error}") from None
    if (told := re.match(r"ffmpeg version (\S+)", version)) is None:
        raise ConfigurationError(f"'{ffmpeg.binary}' does not work as FFmpeg: it does not tell its version")
    return FFmpegCapabilities(
        version=told[1],
        encoders=frozenset(re.findall(r"^ [VAS][A-Z.]{5} ([\w-]+)", encoders, re.MULTILINE)),
        filters=frozenset(re.findall(r"^ [A-Z.]{2,3} (\w+) +\S+->", filters, re.MULTILINE)),
        transitions=frozenset(_transitions(xfade)),
    )


async def _query(ffmpeg: FFmpeg, *question: str) -> str:
    return (await ffmpeg.capture(question, timeout=20)).stdout.decode("utf-8", "replace")


def _transitions(xfade: str) -> list[str]:
    """Read the values listed below the option `transition`; they end where the next option begins."""
    below = xfade.partition(" transition ")[2]
    listed = re.split(r"^ {2,3}\w+ +<", below, maxsplit=1, flags=re.MULTILINE)[0]
    return [name for name in re.findall(r"^ {5,}(\w+) +-?\d+ ", listed, re.MULTILINE) if name != "custom"]
