"""Find the FFmpeg binary and read its capabilities."""

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
    """What an FFmpeg binary was built with. A listed hardware encoder may still lack its hardware."""

    version: str
    encoders: frozenset[str]
    filters: frozenset[str]
    transitions: frozenset[str]
    """Transitions of the `xfade` filter. `custom` is left out, because it evaluates expressions of the client."""


def find_ffmpeg(settings: Settings) -> Path:
    """Return the path of FFmpeg: from the settings, else `ffmpeg` on the PATH, else the bundled binary.

    Raises ConfigurationError, naming the places tried, if there is none.
    """
    if settings.ffmpeg_path is not None:
        chosen = settings.ffmpeg_path.expanduser()
        found = shutil.which(chosen) if chosen.name == str(chosen) else str(chosen)
        if found is None or not os.access(found, os.X_OK) or Path(found).is_dir():
            raise ConfigurationError(f"FFMPEG_PATH is '{chosen}', which is not an executable file")
        return Path(found).absolute()
    if on_path := shutil.which("ffmpeg"):
        return Path(on_path).absolute()
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise ConfigurationError(
            "FFmpeg was not found: FFMPEG_PATH is unset, there is no `ffmpeg` on the PATH, and the package "
            "imageio-ffmpeg has no binary for this machine"
        ) from None


def open_ffmpeg(settings: Settings) -> FFmpeg:
    """Return a runner with the binary and resource limits of the settings. Raises as `find_ffmpeg` does."""
    memory = settings.ffmpeg_memory or usable_memory() * 3 // 4
    limits = ProcessLimits(file_bytes=settings.ffmpeg_max_output, memory_bytes=memory)
    return FFmpeg(find_ffmpeg(settings), limits=limits, sandbox=settings.ffmpeg_sandbox)


async def capabilities(path: Path) -> FFmpegCapabilities:
    """Return the capabilities of a binary, cached by path and modification time.

    Raises ConfigurationError if the binary does not respond like FFmpeg.
    """
    key = (path, _modified_at(path))
    if key not in _cache:
        _cache[key] = await _query_capabilities(FFmpeg(path))
    return _cache[key]


def _modified_at(path: Path) -> int:
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
    if (match := re.match(r"ffmpeg version (\S+)", version)) is None:
        raise ConfigurationError(f"'{ffmpeg.binary}' does not work as FFmpeg: it reports no version")
    return FFmpegCapabilities(
        version=match[1],
        encoders=frozenset(re.findall(r"^ [VAS][A-Z.]{5} ([\w-]+)", encoders, re.MULTILINE)),
        filters=frozenset(re.findall(r"^ [A-Z.]{2,3} (\w+) +\S+->", filters, re.MULTILINE)),
        transitions=frozenset(_transitions(xfade)),
    )


async def _query(ffmpeg: FFmpeg, *args: str) -> str:
    return (await ffmpeg.capture(args, timeout=20)).stdout.decode("utf-8", "replace")


def _transitions(xfade: str) -> list[str]:
    """Parse the values listed below the option `transition`, up to the next option."""
    following = xfade.partition(" transition ")[2]
    values = re.split(r"^ {2,3}\w+ +<", following, maxsplit=1, flags=re.MULTILINE)[0]
    return [name for name in re.findall(r"^ {5,}(\w+) +-?\d+ ", values, re.MULTILINE) if name != "custom"]
