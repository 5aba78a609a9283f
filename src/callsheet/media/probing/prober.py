"""Probe media files in a separate process, since a hostile file may crash the parser.

Run as `python prober.py FORMATS MAX_PIXELS sandboxed|open`. `sandboxed`: it can read files, and nothing else. Each line
of stdin is a JSON object: `path`, the path of a file; `to_end`, whether the end of the file is read, too; `options` of
the demuxer; `seconds`, the time limit; and `trusted`, whether the length in the header is known to be right. For each
it writes one line of JSON: `{"probe": {…}, "video": {…}, "streams": […], "chapters": […], "tags": {…}, "missing": …,
"edits": {…}, "hidden_audio": […], "scan": {…}, "audio": …}` or `{"error": "…", "unsupported": …}`. It is run by its
path, and imports little of callsheet, so that it starts quickly.
"""

import hashlib
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from callsheet.media.ffmpeg.orientation import frame_orientation
from callsheet.media.probing.edit_lists import EditList, read_edit_lists
from callsheet.media.probing.field_coding import read_field_coding
from callsheet.media.probing.h264_headers import allows_fields
from callsheet.media.probing.heif import read_heif
from callsheet.media.probing.image_sequence import sequence_tracks
from callsheet.media.probing.mp4_boxes import has_several_descriptions, is_track_mirrored
from callsheet.media.probing.packet_scan import read_packets, scan_packets
from callsheet.media.probing.still_facts import AnimationFacts, is_foreign, read_animated_webp, read_still
from callsheet.processes.landlock import FileAccess, Ruleset

_STILL_BRANDS = {"avif", "mif1", "heic"}
_BT709, _SRGB_TRANSFER, _RGB_MATRIX, _FULL_RANGE = 1, 13, 0, 2
_NARROW_PRIMARIES = {None, 1, 2, 5, 6, 7}
"""Primaries of ITU-T H.273 that are those of BT.709, or so near that no player converts them."""
_FORMATS_WITH_DURATION = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flac", "wav", "w64", "aiff", "caf"}
_FORMATS_WITHOUT_STARTS = {"matroska,webm", "flv"}
"""Formats whose headers do not state when each stream starts."""
_READ_AT_END = 5.0
"""Seconds before the stated end of a file from which it is read to find its real end."""
_PRECISION = 0.1
"""Seconds."""
_ESTIMATED_FORMATS = {"aac", "mp3", "ac3", "eac3", "amr", "flac", "flv", "mpegts", "mpeg", "asf"}
"""Formats whose headers state no length, a guess, or only that of the first of several files put behind each other."""
_FRAMED_AUDIO = {"mp2", "mp3", "ac3", "eac3", "dts", "aac_latm"}
"""Codecs whose frames state their own format, which may therefore change within a stream of Matroska."""
_SLACK = 0.01
"""Seconds by which a track may be longer than its edit list, which is stated in coarser units."""
_LOSSLESS = frozenset({"flac", "alac"})
_LONGEST_PRIMING = 0.11
"""Seconds of silence that encoders of lossy audio put before it. Copies keep it, as everywhere else."""
_UNKNOWN_FRAMES = 2**30
"""Frames that an AVI states whose header was written before their number was known."""
_MAX_FLAC = 64 * 2**20
"""Bytes. A larger FLAC that states its length is not read as a whole."""
_COMMENTARY = av.stream.Disposition.comment | av.stream.Disposition.visual_impaired
_MAX_ADDRESS_SPACE = 4 * 2**30


def main(formats: str, max_pixels: int, *, sandboxed: bool) -> None:
    """Process requests until stdin closes, which happens when the parent process ends."""
    if sandboxed:
        # It reads any file that is requested later, but writes none, and has no TCP.
        Ruleset(FileAccess(read=(Path("/"),), write=(Path(os.devnull),))).enter()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))
    options = {"format_whitelist": formats, "protocol_whitelist": "file,pipe"}
    for line in sys.stdin:
        request = json.loads(line)
        signal.alarm(request["seconds"])
        try:
            response = read(request, {**options, **request["options"]}, max_pixels)
        except UnsupportedError as error:
            response = {"error": str(error), "unsupported": True}
        except (av.FFmpegError, MemoryError, ValueError, OSError) as error:
            response = {"error": getattr(error, "strerror", None) or str(error) or type(error).__name__}
        signal.alarm(0)
        sys.stdout.write(json.dumps(response) + "\n")
        sys.stdout.flush()


class UnsupportedError(ValueError):
    """The file may be valid, but it is not accepted here."""


def read(request: dict[str, Any], options: dict[str, str], max_pixels: int) -> dict[str, Any]:
    """Return the facts about one file. Keys are the fields of `domain.artifacts.Probe` and `probing.streams.Stream`."""
    path, to_end = request["path"], request["to_end"]
    if (animation := read_animated_webp(Path(path))) is not None:
        return _animation_response(path, animation, max_pixels)
    with _open(path, options) as container:
        video, audio = _default_video(container), _default_audio(container)
        if video is None and audio is None:
            raise ValueError("it has neither a video nor an audio stream")
        facts: dict[str, Any] = {"format": container.format.name, "bit_rate": container.bit_rate or None}
        facts["duration"] = _duration(container)
        response: dict[str, Any] = {"probe": facts, "video": None, "tags": dict(container.metadata)}
        response |= {"chapters": _chapters(container), "streams": [_stream(each) for each in container.streams]}
        response |= {"audio": audio.index if audio is not None else None, "scan": None, "missing": 0.0}
        response |= {"edits": {}, "hidden_audio": _hidden_audio(container)}
        response["exact_audio"] = _states_exact_audio(container)
        response["audio_changes"] = audio is not None and _has_several_formats(path, container, audio)
        facts |= {} if audio is None else _audio_facts(audio)
        if video is not None:
            facts |= _video_facts(path, container, video, max_pixels)
            response["video"] = _video_details(container, video)
            response["video"] |= {name: facts.pop(name) for name in ("interlaced", "late_frames")}
            _apply_field_coding(_field_coding(path, options, response), response)
            response["video"]["changes"] = _has_several_formats(path, container, video)
            response["video"]["normalization"] = _normalization(path, container, video, facts, max_pixels)
        _apply_edit_lists(path, container, response)
        _correct_late_starts(container, response)
        if _needs_scan(container, audio, trusted=request["trusted"]):
            with _open(path, options) as unread:
                _apply_scan(unread, response)
        if facts["duration"] is None and not _is_still(container):
            facts["duration"] = _last_packet_end(container)
            if video is None and facts["duration"] is None:
                raise ValueError("it contains no audio samples")
        if to_end:
            _read_end(container, response)
        if to_end and video is None:
            _decode_first_samples(path, options)
        return response


def _correct_late_starts(container: InputContainer, response: dict[str, Any]) -> None:
    """Correct the starts of streams that start later than FFmpeg looks, which is 5 s.

    FFmpeg takes the start and the length of the file for theirs. Seen streams of these formats have no length.
    """
    late = {each.index: each for each in container.streams if each.duration and each.type in ("video", "audio")}
    if container.format.name not in _FORMATS_WITHOUT_STARTS or not late:
        return
    container.seek(min(0, container.start_time or 0))
    for packet in read_packets(container, [*late.values()]):
        stream = late.get(packet.stream.index)
        if stream is None or packet.pts is None or packet.time_base is None:
            continue
        del late[stream.index]
        start, facts = float(packet.pts * packet.time_base), response["streams"][stream.index]
        end = _tagged_end(stream) or facts["start"] + (facts["duration"] or 0.0)
        facts["duration"] = max(0.0, end - start)
        facts["start"] = start
        if response["video"] is not None and response["video"]["index"] == stream.index:
            response["video"]["seconds"] = facts["duration"]
        if not late:
            return


def _field_coding(path: str, options: dict[str, str], response: dict[str, Any]) -> float | None:
    """Return the frame rate of a video whose frames are coded as two fields each; None for others."""
    if not response["video"]["interlaced"] or response["probe"]["video_codec"] != "h264":
        return None
    with _open(path, options) as container:
        return read_field_coding(container, response["video"]["index"])


def _apply_field_coding(rate: float | None, response: dict[str, Any]) -> None:
    """Correct the facts about a video whose frames are coded as two fields each, if `rate` is its frame rate."""
    response["video"]["field_coded"] = rate is not None
    if rate is not None:
        response["video"]["base_rate"] = rate
        response["probe"] |= {"fps": rate, "frames": None}


def _apply_edit_lists(path: str, container: InputContainer, response: dict[str, Any]) -> None:
    """Correct the lengths of tracks that are trimmed and delayed, or that play several pieces."""
    if not container.format.name.startswith("mov") or _is_still(container):
        return
    lists = {each.track: each for each in read_edit_lists(Path(path))}
    tracks = [each for each in container.streams if each.type in ("video", "audio") and each.id in lists]
    found = {stream.index: lists[stream.id] for stream in tracks}
    corrected = [_apply_edit_list(each, found) for each in response["streams"] if each["index"] in found]
    if not any(corrected):
        return
    if not all(each.is_plain for each in found.values()):
        response["edits"] = {
            str(index): [[piece.start, piece.seconds] for piece in each.pieces] for index, each in found.items()
        }
    timed = [each for each in response["streams"] if each["type"] in ("video", "audio") and each["duration"]]
    seconds = max(each["start"] + each["duration"] for each in timed) - min(each["start"] for each in timed)
    response["probe"]["duration"] = seconds
    if response["video"] is not None:
        video = next(each for each in response["streams"] if each["index"] == response["video"]["index"])
        response["video"]["seconds"] = video["duration"]
        _count_shown_frames(container.streams[video["index"]], response)


def _count_shown_frames(stream: Stream, response: dict[str, Any]) -> None:
    """Correct the numbers of frames that are shown and hidden, after the length of the video was corrected."""
    entries = stream.index_entries
    hidden = sum(entry.is_discard for entry in entries)
    response["video"]["hidden"] = hidden
    response["probe"]["frames"] = None if response["edits"] else len(entries) - hidden or None


def _apply_edit_list(facts: dict[str, Any], lists: dict[int, EditList]) -> bool:
    """Correct the start and the length of a stream; return whether they were wrong."""
    edits = lists[facts["index"]]
    seconds = sum(piece.seconds for piece in edits.played)
    if not edits.is_plain:
        facts |= {"start": edits.delay, "duration": seconds, "frames": None}
        return True
    # FFmpeg counts the delay as a part of the track.
    if not edits.delay or not facts["duration"] or facts["duration"] <= seconds + _SLACK:
        return False
    facts["duration"] = seconds
    return True


def _read_end(container: InputContainer, response: dict[str, Any]) -> None:
    """Find out where the packets of a file end, unless all of them were read."""
    if response["scan"] is not None:
        return
    if response["edits"]:  # FFmpeg does not read these to their end
        return
    response["missing"] = _missing_seconds(container, response["probe"]["duration"])
    if container.format.name == "matroska,webm" and not response["missing"]:
        response["probe"]["duration"] += _seconds_after_end(container)


def _has_several_formats(path: str, container: InputContainer, stream: Stream) -> bool:
    return container.format.name.startswith("mov") and has_several_descriptions(Path(path), stream.id)


def _states_exact_audio(container: InputContainer) -> bool:
    """Return whether a file states the length of its audio to the sample. A recording in fragments does not."""
    return container.format.name.startswith("mov") and all(stream.frames for stream in container.streams.audio)


def _default_video(container: InputContainer) -> VideoStream | None:
    """Return the stream that players show: never cover art, wherever it is."""
    if (sequence := sequence_tracks(container)) is not None:
        return sequence.color
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    return next((stream for stream in streams if _is_default(stream)), next(iter(streams), None))


def _default_audio(container: InputContainer) -> AudioStream | None:
    """Return the stream that players select by themselves."""
    streams = [*container.streams.audio]
    main = [stream for stream in streams if not stream.disposition & _COMMENTARY] or streams
    return next((stream for stream in main if _is_default(stream)), next(iter(main), None))


def _is_default(stream: Stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.default)


def _needs_scan(container: InputContainer, audio: AudioStream | None, *, trusted: bool) -> bool:
    """Return whether only the packets show the length of the file, or whether its audio format may change."""
    if container.format.name == "matroska,webm":
        return audio is not None and audio.codec.canonical_name in _FRAMED_AUDIO
    if container.format.name == "avi":
        return any(stream.frames >= _UNKNOWN_FRAMES for stream in container.streams)
    if container.format.name == "ogg":
        # The end of a part of a longer stream is taken for its length.
        return (container.start_time or 0) > av.time_base
    if container.format.name == "flac" and container.duration:
        return 0 < container.size <= _MAX_FLAC
    return container.format.name in _ESTIMATED_FORMATS and not trusted


def _apply_scan(container: InputContainer, response: dict[str, Any]) -> None:
    scan = response["scan"] = scan_packets(container).facts()
    if container.format.name == "matroska,webm" or scan["seconds"] is None:
        return
    if container.format.name == "flac" and container.duration:
        # Its header states the exact length: what is missing was cut off.
        response["missing"] = max(0.0, container.duration / av.time_base - scan["seconds"])
    response["probe"]["duration"] = scan["seconds"] + response["missing"]
    for stream in response["streams"]:
        stream["duration"] = scan["streams"].get(str(stream["index"])) or stream["duration"]
    if response["video"] is not None:
        response["video"]["seconds"] = scan["streams"].get(str(response["video"]["index"])) or None
        frames = response["probe"].get("frames") or 0
        response["probe"]["frames"] = frames if 0 < frames < _UNKNOWN_FRAMES else None


def _open(path: str, options: dict[str, str]) -> InputContainer:
    try:
        demuxer = "wav" if "ignore_length" in options else _demuxer(path)
        return av.open(f"file:{path}", format=demuxer, options=options, metadata_errors="replace")
    except av.ArgumentError:  # FFmpeg supports the format, but it is not allowed
        if _is_playlist(path):
            raise UnsupportedError("it is a playlist, which only names other files. Give one file, as MP4") from None
        raise UnsupportedError("this kind of file is not accepted as media. Convert it to MP4, MP3 or PNG") from None


def _is_playlist(path: str) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123 - as below
        return file.read(10).lstrip(b"\xef\xbb\xbf").startswith(b"#EXTM3U")


def _demuxer(path: str) -> str | None:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than a probe takes
        head = file.read(3)
    # By the file name, FFmpeg would take a .jpg for a numbered image sequence.
    return "jpeg_pipe" if head == b"\xff\xd8\xff" else None


def _animation_response(path: str, animation: AnimationFacts, max_pixels: int) -> dict[str, Any]:
    size: dict[str, Any] = {"width": animation.width, "height": animation.height}
    _check_size(size["width"], size["height"], max_pixels)
    frames, seconds = len(animation.delays), sum(animation.delays) / 1000
    codec, fps = {"codec": "webp", "pixel_format": "bgra" if animation.transparent else "bgr0"}, frames / seconds
    colors = {"matrix": _RGB_MATRIX, "primaries": _BT709, "transfer": _SRGB_TRANSFER, "range": _FULL_RANGE}
    shared = {**size, "fps": fps, "frames": frames, "duration": seconds, "pixel_format": codec["pixel_format"]}
    bit_rate = round(Path(path).stat().st_size * 8 / seconds)
    video = {
        "still": False,
        **colors,
        "seconds": seconds,
        "index": 0,
        "headers": "",
        "interlaced": False,
        "changes": False,
    }
    video |= {
        "hidden": 0,
        "empty_frames": 0,
        "late_frames": 0,
        "field_coded": False,
        "base_rate": 1000 / min(animation.delays),
    }
    return {
        "probe": {**shared, "format": "webp_anim", "video_codec": "webp", "bit_rate": bit_rate},
        "video": {**video, "normalization": "animation"},
        "streams": [{**shared, **codec, **colors, "index": 0, "type": "video", "default": True, "bit_depth": 8}],
        "chapters": [],
        "tags": {},
        "missing": 0.0,
        "edits": {},
        "hidden_audio": [],
        "scan": None,
        "audio": None,
        "audio_changes": False,
        "exact_audio": False,
    }


def _normalization(
    path: str, container: InputContainer, stream: VideoStream, facts: dict[str, Any], max_pixels: int
) -> str | None:
    """Return how a picture must be normalized, if FFmpeg alone would show it otherwise than viewers do.

    Corrects the facts about it.
    """
    if (sequence := sequence_tracks(container)) is not None:
        if sequence.alpha is not None:
            facts["pixel_format"] = facts["pixel_format"].replace("yuv", "yuva")
        return "sequence"
    if not _is_still(container):
        return None
    if container.format.name == "exr_pipe":
        return "exr"
    if not container.format.name.endswith("_pipe"):
        return _heif_normalization(path, stream, facts, max_pixels)
    still = read_still(Path(path))
    if still is None:
        return None
    codec = stream.codec_context
    width, height = codec.width, codec.height
    facts |= still.orientation._asdict()
    facts["width"], facts["height"] = (height, width) if still.orientation.swaps_sides else (width, height)
    return "image" if any(still.orientation) or still.has_profile else None


def _heif_normalization(path: str, stream: VideoStream, facts: dict[str, Any], max_pixels: int) -> str | None:
    image = read_heif(Path(path))
    if image is None:
        return None
    width, height = image.size
    _check_size(width, height, max_pixels)
    facts |= {"width": width, "height": height, **image.orientation._asdict()}
    if image.alpha is not None:
        facts["pixel_format"] = facts["pixel_format"].replace("yuv", "yuva")
    odd_colors = image.primaries not in _NARROW_PRIMARIES or (image.icc_profile and is_foreign(image.icc_profile))
    plain = image.coded.tiles == (stream.id,) and not any(image.orientation) and image.alpha is None and not odd_colors
    return None if plain else "heif"


def _video_details(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    return {
        "hidden": _hidden_frames(stream),
        "empty_frames": _empty_frames(container, stream),
        "base_rate": _base_rate(stream),
        "still": _is_still(container),
        "matrix": int(stream.codec_context.colorspace),
        "transfer": int(stream.codec_context.color_trc),
        "seconds": _stream_duration(stream),
        "index": stream.index,
        "headers": hashlib.sha256(stream.codec_context.extradata or b"").hexdigest(),
    }


def _empty_frames(container: InputContainer, stream: VideoStream) -> int:
    """Return the number of frames of an AVI that only repeat the one before, as recorders write them if they are late.

    0 if its frames are reordered, because an AVI does not say when those are shown.
    """
    if container.format.name != "avi" or stream.codec_context.has_b_frames:
        return 0
    found = sum(entry.size > 0 for entry in stream.index_entries)
    return stream.frames - found if 0 < found < stream.frames < _UNKNOWN_FRAMES else 0


def _late_frames(container: InputContainer, stream: VideoStream, first: VideoFrame) -> int:
    """Return the number of frames by which FFmpeg shows the video of an AVI too late.

    An AVI states when a frame is decoded. FFmpeg takes that of the last packet that it needed for the first frame.
    """
    if container.format.name != "avi" or not stream.codec_context.has_b_frames:
        return 0
    return max(0, (first.dts or 0) - (stream.start_time or 0))


def _base_rate(stream: VideoStream) -> float:
    """Return the frames per second where frames follow each other fastest; 0 if it is unknown."""
    # FFmpeg counts fields in MPEG-1, which has none.
    rate = stream.average_rate if stream.codec.canonical_name == "mpeg1video" else stream.base_rate
    return float(rate or 0)


def _hidden_frames(stream: VideoStream) -> int:
    """Return the number of frames that an edit list hides, as in a file that was trimmed without an encode."""
    shown = float((stream.duration or 0) * (stream.time_base or 0) * (stream.average_rate or 0))
    if not shown or stream.frames < shown + 0.5:
        return 0
    return sum(entry.is_discard for entry in stream.index_entries)


def _hidden_audio(container: InputContainer) -> list[int]:
    """Return the indexes of the audio streams whose edit list hides more than what their encoder put before them."""
    return [stream.index for stream in container.streams.audio if _hides_start(stream)]


def _hides_start(stream: AudioStream) -> bool:
    first = next(iter(stream.index_entries), None)
    if first is None or not first.is_discard or stream.time_base is None:
        return False
    name = stream.codec.canonical_name
    priming = 0.0 if name.startswith("pcm_") or name in _LOSSLESS else _LONGEST_PRIMING
    return float(first.timestamp * stream.time_base) < -priming


def _audio_facts(stream: AudioStream) -> dict[str, Any]:
    codec = stream.codec_context
    return {
        "audio_codec": stream.codec.canonical_name,
        "audio_channels": codec.channels,
        "sample_rate": codec.sample_rate,
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
    if stream.duration is not None and stream.duration > 0 and stream.time_base:  # that of ASF may be negative
        return float(stream.duration * stream.time_base)
    end = _tagged_end(stream)
    return None if end is None else max(0.0, end - float((stream.start_time or 0) * (stream.time_base or 0)))


def _tagged_end(stream: Stream) -> float | None:
    """Return the end of a stream in seconds. Matroska stores only that, in its tags."""
    tag = re.fullmatch(r"(\d{1,9}):(\d\d):(\d\d(?:\.\d{1,12})?)", stream.metadata.get("DURATION", ""))
    return None if tag is None else int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])


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
    container.seek(min(0, container.start_time or 0))
    end = Fraction(0)
    for packet in read_packets(container, [*container.streams]):
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return float(end) or None


def _missing_seconds(container: InputContainer, seconds: float) -> float:
    """Return the seconds from the last packet to the stated end of the file; 0 if the format states no exact end.

    `seconds` is the stated length.
    """
    if container.format.name not in _FORMATS_WITH_DURATION or not container.duration:
        return 0.0
    stated = (container.start_time or 0) / av.time_base + seconds
    missing = stated - _end_of_packets(container, stated - _READ_AT_END)
    # Without an index, or with key frames that are far apart, seeking does not reach the end.
    return max(0.0, missing if missing < _PRECISION else stated - _end_of_packets(container, 0.0))


def _seconds_after_end(container: InputContainer) -> float:
    """Return the seconds that the file goes on after its stated end, as a recording whose header is an old one."""
    if not container.duration:
        return 0.0
    stated = ((container.start_time or 0) + container.duration) / av.time_base
    more = _end_of_packets(container, stated, ("video", "audio")) - stated
    return more if more > _PRECISION else 0.0


def _end_of_packets(container: InputContainer, start: float, types: Sequence[str] = ()) -> float:
    """Return where the last packet of streams of these types ends; of all streams by default."""
    end = Fraction(0)
    try:
        container.seek(max(0, int(start * av.time_base)))
        streams = [each for each in container.streams if not types or each.type in types]
        for packet in read_packets(container, streams):
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
    return float(max(lengths)) if lengths and max(lengths) > 0 else None


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnsupportedError(f"its frames of {width}x{height} are too large to be decoded safely")


def _video_facts(path: str, container: InputContainer, stream: VideoStream, max_pixels: int) -> dict[str, Any]:
    codec = stream.codec_context
    _check_size(codec.width, codec.height, max_pixels)
    frame = next((f for f in container.decode(stream) if isinstance(f, VideoFrame)), None)
    if frame is None:
        raise ValueError("it contains no frame that can be decoded")
    pixel_aspect = stream.sample_aspect_ratio or 1
    width, height = round(frame.width * pixel_aspect), frame.height
    is_mp4 = container.format.name.startswith("mov")
    orientation = frame_orientation(frame, mirrored=is_mp4 and is_track_mirrored(Path(path), stream.id))
    if orientation.swaps_sides:
        width, height = height, width
    facts: dict[str, Any] = {"width": width, "height": height, **orientation._asdict()}
    facts["interlaced"] = bool(frame.interlaced_frame) or (
        stream.codec.canonical_name == "h264" and allows_fields(codec.extradata or b"")
    )
    facts["late_frames"] = _late_frames(container, stream, frame)
    codec_name, pixel_format = stream.codec.canonical_name, frame.format.name
    # VP8 and VP9 store alpha in a side channel, which FFmpeg's default decoders ignore.
    if stream.metadata.get("alpha_mode") == "1" and codec_name in ("vp8", "vp9"):
        pixel_format = pixel_format.replace("yuv4", "yuva4")
    facts |= {"video_codec": codec_name, "pixel_format": pixel_format}
    if _is_still(container):
        return {**facts, "frames": 1, "fps": None, "duration": None}
    rate = stream.average_rate or stream.guessed_rate
    return {**facts, "frames": stream.frames - _hidden_frames(stream) or None, "fps": float(rate) if rate else None}


def _is_still(container: InputContainer) -> bool:
    brand = container.metadata.get("major_brand", "")
    return container.format.name.endswith("_pipe") or brand in _STILL_BRANDS


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sandboxed=sys.argv[3] == "sandboxed")
