"""PCM files that are joined one sample behind the other."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from callsheet.media.ffmpeg.inputs import file_url

# FFmpeg writes the length in a W64 from the timestamps, which may be wrong, but that in a WAV from the samples.
WAV_ARGS = ("-c:a", "pcm_f32le", "-rf64", "auto", "-fflags", "+bitexact", "-f", "wav")


async def list_input(folder: Path, files: Sequence[Path], name: str = "parts") -> list[str]:
    """Write a list of files in a folder for FFmpeg's concat demuxer, and return the arguments that read it."""
    index = folder / f"{name}.txt"
    lines = ["ffconcat version 1.0", *(f"file {path.name}" for path in files)]
    await asyncio.to_thread(index.write_text, "\n".join(lines) + "\n", "utf-8")
    return ["-f", "concat", "-safe", "1", "-i", file_url(index)]
