"""Reads media files in a process of its own, which a hostile file may crash.

Run as `python prober.py FORMATS MAX_PIXELS`. For each line of stdin, a JSON string that is a path, it writes a
line of JSON: `{"probe": {…}, "picture": {…}}` or `{"error": "…"}`.
It is run by its path and imports nothing of ours, so that it starts quickly.
"""

import json
import resource
import signal
import sys
from typing import Any

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_STILL_BRANDS = {"avif", "mif1", "heic"}
_SECONDS_FOR_ONE_FILE = 20
_ADDRESS_SPACE = 4 * 2**30


def main(formats: str, max_pixels: int) -> None:
    """Answer until stdin closes, which it does when the parent dies."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    options = {"format_whitelist": formats, "protocol_whitelist": "file,pipe"}
    for line in sys.stdin:
        signal.alarm(_SECONDS_FOR_ONE_FILE)
        try:
            answer = read(json.loads(line), options, max_pixels)
        except (av.FFmpegError, MemoryError, ValueError, OSError) as error:
            answer = {"error": getattr(error, "strerror", None) or str(error) or type(error).__name__}
        signal.alarm(0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def read(path: str, options: dict[str, str], max_pixels: int) -> dict[str, Any]:
    """Return the facts about one file: `probe` by the names of `domain.artifacts.Probe`, and `picture`."""
    with av.open(f"file:{path}", format=_demuxer(path), options=options, metadata_errors="replace") as container:
        video = next((s for s in container.streams.video if not _is_cover(s)), None)
        audio = next(iter(container.streams.audio), None)
        if video is None and audio is None:
            raise ValueError("it holds neither pictures nor sound")
        facts: dict[str, Any] = {"format": container.format.name, "bit_rate": container.bit_rate or None}
        facts["duration"] = _duration(container)
        if audio is not None:
            facts |= {
                "audio_codec": audio.codec.canonical_name,
                "audio_channels": audio.codec_context.channels,
                "sample_rate": audio.codec_context.sample_rate,
            }
        if video is None:
            return {"probe": facts, "picture": None}
        facts |= _picture(container, video, max_pixels)
        return {"probe": facts, "picture": _colours(container, video)}


def _demuxer(path: str) -> str | None:
    # By its name, FFmpeg takes a .jpg for a numbered series of pictures.
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than a probe takes
        return "jpeg_pipe" if file.read(3) == b"\xff\xd8\xff" else None


def _colours(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    length = stream.duration * stream.time_base if stream.duration and stream.time_base else None
    return {
        "still": _is_still(container),
        "matrix": int(stream.codec_context.colorspace),
        "transfer": int(stream.codec_context.color_trc),
        "seconds": float(length) if length else None,
    }


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _duration(container: InputContainer) -> float | None:
    if container.duration:
        return container.duration / av.time_base
    lengths = [s.duration * s.time_base for s in container.streams if s.duration and s.time_base]
    return float(max(lengths)) if lengths else None


def _picture(container: InputContainer, stream: VideoStream, max_pixels: int) -> dict[str, Any]:
    codec = stream.codec_context
    if codec.width * codec.height > max_pixels:
        raise ValueError(f"its pictures of {codec.width}x{codec.height} are too large to be decoded safely")
    frame = next((f for f in container.decode(stream) if isinstance(f, VideoFrame)), None)
    if frame is None:
        raise ValueError("no picture in it can be decoded")
    shape = stream.sample_aspect_ratio or 1
    width, height = round(frame.width * shape), frame.height
    turn = round(frame.rotation) % 360
    if turn in (90, 270):
        width, height = height, width
    facts: dict[str, Any] = {"width": width, "height": height, "rotation": turn}
    facts |= {"video_codec": stream.codec.canonical_name, "pixel_format": frame.format.name}
    if _is_still(container):
        return {**facts, "frames": 1, "fps": None, "duration": None}
    rate = stream.average_rate or stream.guessed_rate
    return {**facts, "frames": stream.frames or None, "fps": float(rate) if rate else None}


def _is_still(container: InputContainer) -> bool:
    brand = container.metadata.get("major_brand", "")
    return container.format.name.endswith("_pipe") or brand in _STILL_BRANDS


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
