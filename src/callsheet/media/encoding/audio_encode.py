"""Sound encoded into a file of its own, from which it can be copied into a film."""

from collections.abc import Sequence
from pathlib import Path

from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg


async def encode_audio(ffmpeg: FFmpeg, path: Path, encoding: Sequence[str]) -> Path:
    """Encode the first sound track of a file by the words of an encoder, and return where it lies, beside the file.

    Without words nothing is done, and the file itself is returned.
    """
    if not encoding:
        return path
    await ffmpeg.run(encode_audio_args(path, encoding))
    return encoded_audio_path(path, encoding)


def encode_audio_args(path: Path, encoding: Sequence[str]) -> list[str]:
    """Return the words that encode the first sound track of a file."""
    output = encoded_audio_path(path, encoding)
    return [*media_input(path), "-map", "0:a:0", *encoding, "-f", output.suffix[1:], file_url(output)]


def encoded_audio_path(path: Path, encoding: Sequence[str]) -> Path:
    """Return where the encoded sound of a file lies."""
    # What AAC begins with, which is not to be heard, is told by MP4 alone; heard, it would move all that follows.
    return path.with_suffix(".mp4" if "aac" in encoding else ".matroska")
