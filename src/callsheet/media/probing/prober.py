"""Probe media files in a separate process, since a hostile file may crash the parser.

Run as `python prober.py FORMATS MAX_PIXELS`. Each line of stdin is a JSON object: `path`, the path of a file, and
`to_end`, whether the end of the file is read, too. For each it writes one line of JSON: `{"probe": {…}, "video": {…},
"streams": […], "chapters": […], "tags": {…}, "missing": …}` or `{"error": "…", "unsupported": …}`. It is run by its
path and imports no module of callsheet, so that it starts quickly.
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
_WEBP_HEADER = 21
"""Bytes of a WebP header up to its flags, which mark an animation."""
_WEBP_ANIMATION_FLAG = 0x02
_FORMATS_WITH_DURATION = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flac", "wav"}
_READ_AT_END = 5.0
"""Seconds before the stated end of a file from which it is read to find its real end."""
_PRECISION = 0.1
"""Seconds."""
_TIMEOUT = 20
_MAX_ADDRESS_SPACE = 4 * 2**30


def main(formats: str, max_pixels: int) -> None:
    """Process requests until stdin closes, which happens when the parent process ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))
    options = {"format_whitelist": formats, "protocol_whitelist": "file,pipe"}
    for line in sys.stdin:
        signal.alarm(_TIMEOUT)
        request = json.loads(line)
        try:
            response = read(request["path"], options, max_pixels, to_end=request["to_end"])
        except UnsupportedError as error:
            response = {"error": str(error), "unsupported": True}
        except (av.FFmpegError, MemoryError, ValueError, OSError) as error:
            response = {"error": getattr(error, "strerror", None) or str(error) or type(error).__name__}
        signal.alarm(0)
        sys.stdout.write(json.dumps(response) + "\n")
        sys.stdout.flush()


class UnsupportedError(ValueError):
    """The file may be valid, but it is not accepted here."""


def read(path: str, options: dict[str, str], max_pixels: int, *, to_end: bool) -> dict[str, Any]:
    """Return the facts about one file. Keys are the fields of `domain.artifacts.Probe` and `probing.streams.Stream`."""
    with _open(path, options) as container:
        video = next((s for s in container.streams.video if not _is_cover(s)), None)
        audio = next(iter(container.streams.audio), None)
        if video is None and audio is None:
            raise ValueError("it has neither a video nor an audio stream")
        facts: dict[str, Any] = {"format": container.format.name, "bit_rate": container.bit_rate or None}
        facts["duration"] = _duration(container)
        response: dict[str, Any] = {"probe": facts, "video": None, "tags": dict(container.metadata)}
        response |= {"chapters": _chapters(container), "streams": [_stream(each) for each in container.streams]}
        if audio is not None:
            facts |= {
                "audio_codec": audio.codec.canonical_name,
                "audio_channels": audio.codec_context.channels,
                "sample_rate": audio.codec_context.sample_rate,
            }
        if video is not None:
            facts |= _video_facts(container, video, max_pixels)
            interlaced = facts.pop("interlaced")
            response["video"] = {**_video_details(container, video), "interlaced": interlaced}
        if facts["duration"] is None and not _is_still(container):
            facts["duration"] = _last_packet_end(container)
            if video is None and facts["duration"] is None:
                raise ValueError("it contains no audio samples")
        response["missing"] = _missing_seconds(container) if to_end else 0.0
        if to_end and video is None:
            _decode_first_samples(path, options)
        return response


def _open(path: str, options: dict[str, str]) -> InputContainer:
    try:
        return av.open(f"file:{path}", format=_demuxer(path), options=options, metadata_errors="replace")
    except av.ArgumentError:  # FFmpeg supports the format, but it is not allowed
        raise UnsupportedError("this kind of file is not accepted as media. Convert it to MP4, MP3 or PNG") from None


def _demuxer(path: str) -> str | None:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than a probe takes
        head = file.read(_WEBP_HEADER)
    if _is_animated_webp(head):
        raise UnsupportedError("animated WebP is not supported. Convert it to GIF, APNG, MP4 or WebM")
    # By the file name, FFmpeg would take a .jpg for a numbered image sequence.
    return "jpeg_pipe" if head.startswith(b"\xff\xd8\xff") else None


def _is_animated_webp(head: bytes) -> bool:
    extended = len(head) == _WEBP_HEADER and head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return extended and bool(head[20] & _WEBP_ANIMATION_FLAG)


def _video_details(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    return {
        "still": _is_still(container),
        "matrix": int(stream.codec_context.colorspace),
        "transfer": int(stream.codec_context.color_trc),
        "seconds": _stream_duration(stream),
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
        "duration": _stream_duration(stream),
    }
    if isinstance(stream, AudioStream):
        facts |= _audio_stream_facts(stream)
    if isinstance(stream, VideoStream):
        facts |= _video_stream_facts(stream)
    return facts


def _stream_duration(stream: Stream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska stores the duration of a stream only in its tags.
    tag = re.fullmatch(r"(\d{1,9}):(\d\d):(\d\d(?:\.\d{1,12})?)", stream.metadata.get("DURATION", ""))
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None


def _audio_stream_facts(stream: AudioStream) -> dict[str, Any]:
    codec = stream.codec_context
    return {
        "channels": codec.channels,
        "channel_layout": codec.layout.name,
        "sample_rate": codec.sample_rate,
        "bit_rate": codec.bit_rate or None,
    }


def _video_stream_facts(stream: VideoStream) -> dict[str, Any]:
    codec = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate
    pixel_aspect = stream.sample_aspect_ratio
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
        "pixel_aspect": [pixel_aspect.numerator, pixel_aspect.denominator] if pixel_aspect else None,
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


def _last_packet_end(container: InputContainer) -> float | None:
    """Return the end time of the last packet: live recordings have no duration in their header."""
    container.seek(0)
    end = Fraction(0)
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return float(end) or None


def _missing_seconds(container: InputContainer) -> float:
    """Return the seconds from the last packet to the stated end of the file; 0 if the format states no exact end."""
    if container.format.name not in _FORMATS_WITH_DURATION or not container.duration:
        return 0.0
    stated = ((container.start_time or 0) + container.duration) / av.time_base
    missing = stated - _end_of_packets(container, stated - _READ_AT_END)
    # Without an index, or with key frames that are far apart, seeking does not reach the end.
    return max(0.0, missing if missing < _PRECISION else stated - _end_of_packets(container, 0.0))


def _end_of_packets(container: InputContainer, start: float) -> float:
    end = Fraction(0)
    try:
        container.seek(max(0, int(start * av.time_base)))
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    except av.FFmpegError:  # the packets before it are all that can be read
        return float(end)
    return float(end)


def _decode_first_samples(path: str, options: dict[str, str]) -> None:
    with _open(path, options) as container:
        if next(iter(container.decode(container.streams.audio[0])), None) is None:
            raise ValueError("it contains no audio that can be decoded")


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _duration(container: InputContainer) -> float | None:
    if container.duration:
        return container.duration / av.time_base
    lengths = [s.duration * s.time_base for s in container.streams if s.duration and s.time_base]
    return float(max(lengths)) if lengths else None


def _video_facts(container: InputContainer, stream: VideoStream, max_pixels: int) -> dict[str, Any]:
    codec = stream.codec_context
    if codec.width * codec.height > max_pixels:
        raise UnsupportedError(f"its frames of {codec.width}x{codec.height} are too large to be decoded safely")
    frame = next((f for f in container.decode(stream) if isinstance(f, VideoFrame)), None)
    if frame is None:
        raise ValueError("it contains no frame that can be decoded")
    pixel_aspect = stream.sample_aspect_ratio or 1
    width, height = round(frame.width * pixel_aspect), frame.height
    rotation = round(frame.rotation) % 360
    if rotation in (90, 270):
        width, height = height, width
    facts: dict[str, Any] = {"width": width, "height": height, "rotation": rotation}
    facts["interlaced"] = bool(frame.interlaced_frame)
    codec_name, pixel_format = stream.codec.canonical_name, frame.format.name
    # VP8 and VP9 store alpha in a side channel, which FFmpeg's default decoders ignore.
    if stream.metadata.get("alpha_mode") == "1" and codec_name in ("vp8", "vp9"):
        pixel_format = pixel_format.replace("yuv4", "yuva4")
    facts |= {"video_codec": codec_name, "pixel_format": pixel_format}
    if _is_still(container):
        return {**facts, "frames": 1, "fps": None, "duration": None}
    rate = stream.average_rate or stream.guessed_rate
    return {**facts, "frames": stream.frames or None, "fps": float(rate) if rate else None}


def _is_still(container: InputContainer) -> bool:
    brand = container.metadata.get("major_brand", "")
    return container.format.name.endswith("_pipe") or brand in _STILL_BRANDS


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
