"""Sound without a picture: its formats, headers and joints."""

import struct
import subprocess
from pathlib import Path

from .clips import BEEP, SECONDS, Clips, Recipe


def sound(codec: str, *, channels: int = 1, hertz: int = 24_000, extra: str = "") -> Recipe:
    """Sound without a picture."""
    return lambda clips, path: clips.sound(path, codec, channels=channels, hertz=hertz, extra=extra) and None


def streamed(codec: str, muxer: str) -> Recipe:
    """Sound that was written to a pipe, so that its header could not be completed."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.sound(clips.part(f"whole.{muxer}"), codec)
        command = [str(clips.binary), "-v", "error", "-i", str(whole), "-c", "copy", "-f", muxer, "-"]
        path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)

    return make


def wav_of_size(riff: int, data: int) -> Recipe:
    """A WAV whose header states these sizes."""

    def make(clips: Clips, path: Path) -> None:
        content = clips.sound(clips.part("whole.wav"), "pcm_s16le", extra="-bitexact -map_metadata -1").read_bytes()
        start = content.index(b"data")
        head = content[:4] + struct.pack("<I", riff) + content[8:start] + b"data" + struct.pack("<I", data)
        path.write_bytes(head + content[start + 8 :])

    return make


def half(suffix: str, codec: str, *, channels: int, hertz: int) -> Recipe:
    """The first second of the sound."""

    def make(clips: Clips, path: Path) -> None:
        source = f"aevalsrc=exprs='{'|'.join([BEEP] * channels)}':s={hertz}:d=1"
        clips.run("-f", "lavfi", "-i", source, "-c:a", *codec.split(), path)

    return make


def joined_sound(suffix: str, codec: str, *formats: tuple[int, int]) -> Recipe:
    """Files of one second that were put behind each other, each with its channels and sample rate."""

    def make(clips: Clips, path: Path) -> None:
        content = b""
        for number, (channels, hertz) in enumerate(formats):
            part = clips.part(f"part{number}.{suffix}")
            half(suffix, codec, channels=channels, hertz=hertz)(clips, part)
            content += part.read_bytes()
        path.write_bytes(content)

    return make


def channels(suffix: str, codec: str, layout: str, expressions: str, hertz: int = 48_000) -> Recipe:
    """Sound of a layout, with an expression for each channel."""

    def make(clips: Clips, path: Path) -> None:
        source = f"aevalsrc=exprs='{expressions}':s={hertz}:d={SECONDS}:c={layout}"
        clips.run("-f", "lavfi", "-i", source, "-c:a", *codec.split(), path)

    return make


def with_cover(codec: str, options: str = "") -> Recipe:
    """Sound with cover art, as music has it."""

    def make(clips: Clips, path: Path) -> None:
        cover = clips.part("cover.jpg")
        clips.run("-f", "lavfi", "-i", "color=blue:s=96x54", "-frames:v", "1", cover)
        whole = clips.sound(clips.part("whole.mka"), codec)
        maps = ["-map", "0:a", "-map", "1:v", "-c", "copy", "-disposition:v:0", "attached_pic"]
        clips.run("-i", whole, "-i", cover, *maps, *options.split(), path)

    return make


def surrounded(source: Recipe, suffix: str, *, before: bytes = b"", after: bytes = b"") -> Recipe:
    """A file with other bytes before and after it."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"plain.{suffix}")
        source(clips, whole)
        path.write_bytes(before + whole.read_bytes() + after)

    return make


def repeated(source: Recipe, suffix: str, seconds: float = 1.0) -> Recipe:
    """Two files of a second that were put behind each other."""

    def make(clips: Clips, path: Path) -> None:
        part = clips.part(f"half.{suffix}")
        source(clips, part)
        path.write_bytes(part.read_bytes() * 2)

    return make


def quiet_then_loud(clips: Clips, path: Path) -> None:
    """An MP3 whose first frames have a small bit rate: the usual guess of its length is far too long."""
    content = b""
    for number, rate in enumerate((8, 160)):
        part = clips.part(f"rate{number}.mp3")
        source = f"aevalsrc=exprs='{BEEP}':s=24000:d=1"
        extra = ["-b:a", f"{rate}k", "-write_xing", "0", "-id3v2_version", "0"]
        clips.run("-f", "lavfi", "-i", source, "-c:a", "libmp3lame", *extra, part)
        content += part.read_bytes()
    path.write_bytes(content)
