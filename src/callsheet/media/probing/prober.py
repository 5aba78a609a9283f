"""Reads media files in a process of its own, which a hostile file may crash.

Run as `python prober.py FORMATS MAX_PIXELS`. For each line of stdin, a JSON string that is a path, it writes a
line of JSON: `{"probe": {…}, "picture": {…}, "streams": […], "chapters": […], "tags": {…}}` or `{"error": "…"}`.
It is run by its path and imports nothing of ours, so that it starts quickly.
"""

import hashlib
import json
import re
import resource
import signal
import sys
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_STILL_BRANDS = {"avif", "mif1", "heic"}
_HEAD = 21
"""Bytes at the beginning of a file that tell an animated WebP from a still one: the last holds the flags."""
_ANIMATION = 0x02
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
    """Return the facts about one file, by the names of `domain.artifacts.Probe` and of `media.streams`."""
    with _opened(path, options) as container:
        video = next((s for s in container.streams.video if not _is_cover(s)), None)
        audio = next(iter(container.streams.audio), None)
        if video is None and audio is None:
            raise ValueError("it holds neither pictures nor sound")
        facts: dict[str, Any] = {"format": container.format.name, "bit_rate": container.bit_rate or None}
        facts["duration"] = _duration(container)
        answer = {"probe": facts, "picture": None, "chapters": _chapters(container), "tags": dict(container.metadata)}
        answer["streams"] = [_stream(each) for each in container.streams]
        if audio is not None:
            facts |= {
                "audio_codec": audio.codec.canonical_name,
                "audio_channels": audio.codec_context.channels,
                "sample_rate": audio.codec_context.sample_rate,
            }
        if video is not None:
            facts |= _picture(container, video, max_pixels)
            interlaced = facts.pop("interlaced")
            answer["picture"] = {**_colours(container, video), "interlaced": interlaced}
        if facts["duration"] is None and not _is_still(container):
            facts["duration"] = _end(container)
            if video is None and facts["duration"] is None:
                raise ValueError("there is not a single sample of sound in it")
        return answer


def _opened(path: str, options: dict[str, str]) -> InputContainer:
    try:
        return av.open(f"file:{path}", format=_demuxer(path), options=options, metadata_errors="replace")
    except av.ArgumentError:  # FFmpeg knows it, but it is not among the formats that may be read
        raise ValueError("this kind of file is not accepted as media. Convert it to MP4, MP3 or PNG") from None


def _demuxer(path: str) -> str | None:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than a probe takes
        head = file.read(_HEAD)
    if _is_animated_webp(head):
        raise ValueError("animated WebP is not read; bring it as GIF, APNG, MP4 or WebM")
    # By its name, FFmpeg takes a .jpg for a numbered series of pictures.
    return "jpeg_pipe" if head.startswith(b"\xff\xd8\xff") else None


def _is_animated_webp(head: bytes) -> bool:
    extended = len(head) == _HEAD and head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return extended and bool(head[20] & _ANIMATION)


def _colours(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    return {
        "still": _is_still(container),
        "matrix": int(stream.codec_context.colorspace),
        "transfer": int(stream.codec_context.color_trc),
        "seconds": _length(stream),
        "index": stream.index,
        "headers": hashlib.sha256(stream.codec_context.extradata or b"").hexdigest(),
    }


def _stream(stream: Stream) -> dict[str, Any]:
    codec = stream.codec_context
    start = stream.start_time * stream.time_base if stream.start_time and stream.time_base else None
    facts: dict[str, Any] = {
        "index": stream.index,
        "type": stream.type,
        "codec": codec.codec.canonical_name if codec is not None else None,
        "profile": stream.profile,
        "language": stream.language if stream.language != "und" else None,
        "title": stream.metadata.get("title"),
        "default": bool(stream.disposition & av.stream.Disposition.default),
        "forced": bool(stream.disposition & av.stream.Disposition.forced),
        "start": float(start) if start else 0.0,
        "duration": _length(stream),
    }
    if isinstance(stream, AudioStream):
        facts |= _sound_facts(stream)
    if isinstance(stream, VideoStream):
        facts |= _picture_facts(stream)
    return facts


def _length(stream: Stream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska tells the length of a track among its tags only.
    told = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3]) if told else None


def _sound_facts(stream: AudioStream) -> dict[str, Any]:
    codec = stream.codec_context
    return {
        "channels": codec.channels,
        "channel_layout": codec.layout.name,
        "sample_rate": codec.sample_rate,
        "bit_rate": codec.bit_rate or None,
    }


def _picture_facts(stream: VideoStream) -> dict[str, Any]:
    codec = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate
    shape = stream.sample_aspect_ratio
    return {
        "width": codec.width or None,
        "height": codec.height or None,
        "fps": float(rate) if rate else None,
        "frames": stream.frames or None,
        "pixel_format": codec.pix_fmt,
        "bit_depth": codec.format.components[0].bits if codec.format is not None else None,
        "matrix": int(codec.colorspace),
        "primaries": int(codec.color_primaries),
        "transfer": int(codec.color_trc),
        "range": int(codec.color_range),
        "pixel_shape": [shape.numerator, shape.denominator] if shape else None,
        "cover": _is_cover(stream),
        "bit_rate": codec.bit_rate or None,
    }


def _chapters(container: InputContainer) -> list[dict[str, Any]]:
    found = []
    for chapter in container.chapters():
        unit = chapter["time_base"] or Fraction(0)
        start, end = float(chapter["start"] * unit), float(chapter["end"] * unit)
        found.append({"start": start, "end": end, "title": chapter["metadata"].get("title")})
    return found


def _end(container: InputContainer) -> float | None:
    """Return when the last packet ends: what is recorded live does not tell its length at the start."""
    container.seek(0)
    end = Fraction(0)
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return float(end) or None


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
    facts["interlaced"] = bool(frame.interlaced_frame)
    codec_name, pixels = stream.codec.canonical_name, frame.format.name
    # Its transparency lies beside the picture, where the usual decoders of VP8 and VP9 do not look.
    if stream.metadata.get("alpha_mode") == "1" and codec_name in ("vp8", "vp9"):
        pixels = pixels.replace("yuv4", "yuva4")
    facts |= {"video_codec": codec_name, "pixel_format": pixels}
    if _is_still(container):
        return {**facts, "frames": 1, "fps": None, "duration": None}
    rate = stream.average_rate or stream.guessed_rate
    return {**facts, "frames": stream.frames or None, "fps": float(rate) if rate else None}


def _is_still(container: InputContainer) -> bool:
    brand = container.metadata.get("major_brand", "")
    return container.format.name.endswith("_pipe") or brand in _STILL_BRANDS


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
