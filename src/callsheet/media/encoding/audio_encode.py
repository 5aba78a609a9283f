"""Encode audio into a file of its own, from which the final mux copies it."""

from collections.abc import Sequence
from pathlib import Path

from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg


async def encode_audio(ffmpeg: FFmpeg, path: Path, encoding: Sequence[str]) -> Path:
    """Encode the first audio stream of a file, and return the path of the output, beside the file.

    `encoding` is the FFmpeg arguments of the encoder. If it is empty, the file itself is returned.
    """
    if not encoding:
        return path
    await ffmpeg.run(encode_audio_args(path, encoding))
    return encoded_audio_path(path, encoding)


def encode_audio_args(path: Path, encoding: Sequence[str]) -> list[str]:
    """Return the arguments that encode the first audio stream of a file."""
    output = encoded_audio_path(path, encoding)
    return [*media_input(path), "-map", "0:a:0", *encoding, "-f", output.suffix[1:], file_url(output)]


def encoded_audio_path(path: Path, encoding: Sequence[str]) -> Path:
    """Return the path of the encoded audio of a file."""
    # Only MP4 signals AAC encoder delay. In another container the priming samples would play, and shift the audio.
    return path.with_suffix(".mp4" if "aac" in encoding else ".matroska")
