"""Probe a media file: format, streams, duration. The content decides, not the file name."""

import asyncio
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.color_matrix import SD_HEIGHT
from callsheet.media.probing.edit_lists import Piece
from callsheet.media.probing.probe_pools import current_pool
from callsheet.media.probing.streams import Chapter, Stream, read_chapters, read_stream, read_tags
from callsheet.media.values import parse_rate

NormalizationKind = Literal["image", "heif", "exr", "animation", "sequence"]
"""A kind of picture that FFmpeg alone would show otherwise than viewers do, and that is rewritten before it is used."""

_UNSPECIFIED_MATRIX = 2
_HDR_TRANSFERS = frozenset({16, 18})
"""SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG), by their numbers in ITU-T H.273."""
_AUDIO_OVERHANG = 0.25
"""Seconds by which audio may outlast the video without extending the playback."""
_FIXED_SIZE = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "avi", "gif", "apng", "yuv4mpegpipe", "mxf"})
"""Formats that state one frame size for the whole stream."""
_INTERLACEABLE = frozenset({"mpeg2video", "dvvideo", "vc1", "mpeg4", "prores"})
"""Codecs of broadcasts, discs and cameras, which may code each frame either way."""
_WITHOUT_INDEX = frozenset({"mpegts", "mpeg"})
_DEFAULT_GOP = 300
"""Frames. By default, encoders set a key frame at least every 250 frames."""
_DEFAULT_RATE = 30
_MAX_BASE_RATE = 60
"""Frames per second. A higher base rate is that of the timestamps, not of the frames."""
_UNEVEN = 1.2
"""Ratio of the base rate to the average rate from which frames are unevenly spaced."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A media file: its probe, its streams, and further facts that filter graphs need."""

    path: Path
    probe: Probe
    still: bool = False
    """Whether it is a still image, which has no duration."""
    hdr: bool = False
    interlaced: bool = False
    """Whether its first frame is interlaced, or its codec settings allow that later ones are."""
    video_changes: bool = False
    """Whether it states several formats for the frames of its video stream."""
    assumed_matrix: str | None = None
    """The color matrix that players assume. None if the file states its own."""
    video_seconds: float | None = None
    """Duration of the video stream, which may differ from that of the audio."""
    video_headers: str | None = None
    """A digest of the decoder configuration (extradata). Video streams can be concatenated only if it is equal."""
    video_index: int | None = None
    """Index of the video stream."""
    base_rate: float = 0.0
    """Frames per second where frames follow each other fastest. 0: unknown."""
    hidden_frames: int = 0
    """Frames that an edit list hides, as in a file that was trimmed without an encode."""
    field_coded: bool = False
    """Whether its frames are coded as two fields each, so that it has more packets than frames."""
    empty_frames: int = 0
    """Frames without content, for which the one before is shown. Only in AVI."""
    hidden_audio: frozenset[int] = frozenset()
    """Indexes of audio streams whose edit list hides their start, which a copy into another format would play."""
    late_frames: int = 0
    """Frames by which FFmpeg shows its video too late. Only in AVI."""
    edits: Mapping[int, tuple[Piece, ...]] = field(default_factory=dict)
    """The pieces of each track that are played, by the index of the stream. Empty if FFmpeg reads them exactly."""
    longest_gop: int = _DEFAULT_GOP
    """Frames from one key frame to the next. Measured only in formats without an index."""
    streams: tuple[Stream, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    """Metadata tags, without those that identify the place, the author or the device of a recording."""
    normalization: NormalizationKind | None = None
    """How the file must be normalized before it is used; None if it is used as it is."""
    missing: float = 0.0
    """Seconds of its stated duration that the file does not contain. Measured only with `to_end`."""
    audio_index: int | None = None
    """Index of the audio stream that players select."""
    clock_jumps: tuple[int, ...] = ()
    """Positions in bytes after which the timestamps restart, or skip a long time, as in joined recordings."""
    audio_changes: bool = False
    """Whether the sample rate or the channels of an audio stream change on the way."""
    exact_audio: bool = False
    """Whether it states the length of its audio to the sample, without the padding of the encoder."""
    damaged: bool = False
    """Whether damage was found while it was read, so that frames may be missing."""
    original: "MediaInfo | None" = None
    """The file as it was given, if this one was made from it (see `operations.media_inputs`)."""
    strict: bool = False
    """Whether damage that is found while it is read is an error."""
    notes: tuple[str, ...] = ()
    """What differs from the file as it was given, or is missing in it."""

    @property
    def rate(self) -> Fraction:
        """Frames per second for output: the file's own rate, or 30 if it has no usable one."""
        try:
            return parse_rate(self.probe.fps or _DEFAULT_RATE)
        except ValueError:  # frames that are hours apart, or thousands per second
            return Fraction(_DEFAULT_RATE)

    @property
    def constant_rate(self) -> Fraction:
        """Frames per second for output at a constant rate, which must also show the frames between two pauses."""
        if not self.has_pauses:
            return self.rate
        is_of_frames = 1 <= self.base_rate <= _MAX_BASE_RATE
        return Fraction(self.base_rate).limit_denominator(1001) if is_of_frames else Fraction(_DEFAULT_RATE)

    @property
    def has_pauses(self) -> bool:
        """Whether some frames last much longer than others, as in a recording of a screen."""
        return self.base_rate > (self.probe.fps or self.base_rate) * _UNEVEN

    @property
    def copy_obstacle(self) -> str | None:
        """Why a part of its video cannot be copied frame by frame; None if it can. A relative clause."""
        if self.hidden_frames:
            return "has frames that are hidden, which a copy would show"
        return "has frames that are coded as two fields each" if self.field_coded else None

    @property
    def lacks_index(self) -> bool:
        """Whether the format has no index: FFmpeg seeks to a time, but not to the key frame before it."""
        return self.probe.format in _WITHOUT_INDEX

    @property
    def video(self) -> Stream | None:
        """The video stream."""
        return next((each for each in self.streams if each.index == self.video_index), None)

    @property
    def audio(self) -> Stream:
        """The audio stream that players select. The file must have one."""
        return next(each for each in self.streams if each.index == self.audio_index)

    @property
    def may_change_size(self) -> bool:
        """Whether its frames may change their size, shape or pixel format on the way."""
        if self.still or not self.has_video or self.probe.rotation != 0:
            return False
        return self.video_changes or self.probe.format not in _FIXED_SIZE

    @property
    def may_be_interlaced(self) -> bool:
        """Whether some of its frames may be interlaced. Each frame says whether it is."""
        if self.still or not self.has_video:
            return False
        joins = self.lacks_index and self.probe.video_codec in ("h264", "hevc")
        return self.interlaced or joins or self.probe.video_codec in _INTERLACEABLE

    @property
    def start(self) -> float:
        """The earliest timestamp in the file, in seconds. In transport streams it can be any number."""
        starts = [each.start for each in self.streams if each.type in ("video", "audio") and not each.cover]
        return min(starts, default=0.0)

    @property
    def decoder(self) -> str | None:
        """The decoder to force, or None. FFmpeg's default decoders of VP8 and VP9 lose the alpha channel."""
        transparent = (self.probe.pixel_format or "").startswith("yuva")
        return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(self.probe.video_codec or "") if transparent else None

    @property
    def decoder_args(self) -> list[str]:
        """FFmpeg's input options that select the decoder of the video stream."""
        return ["-c:v", self.decoder] if self.decoder else []

    @property
    def video_delay(self) -> float:
        """Seconds from the start of the file to the start of its video stream. 0 without a video stream."""
        return 0.0 if self.video is None else self.stream_delay(self.video)

    def stream_delay(self, stream: Stream) -> float:
        """Return the seconds from the start of the file to the start of one of its streams."""
        return max(0.0, stream.start - self.start)

    def audio_end(self, stream: Stream) -> float | None:
        """Return the seconds from the start of the file to the exact end of an audio stream; None if it is unknown.

        Older versions of FFmpeg also decode the padding after it.
        """
        return self.stream_delay(stream) + stream.duration if self.exact_audio and stream.duration else None

    @property
    def audio_streams(self) -> tuple[Stream, ...]:
        """The audio streams."""
        return tuple(each for each in self.streams if each.type == "audio")

    @property
    def decodable_audio(self) -> list[Stream]:
        """The audio streams that FFmpeg can decode, the one that players select first."""
        streams = [stream for stream in self.audio_streams if stream.codec is not None]
        return sorted(streams, key=lambda stream: stream.index != self.audio_index)

    def can_copy_audio(self, stream: Stream, format: str) -> bool:
        """Return whether a copy of an audio stream in a container plays the same: only MP4 can hide its start."""
        return stream.index not in self.hidden_audio or format in ("mp4", "mov", "m4a")

    @property
    def audio_layout(self) -> str | None:
        """Channel layout of the audio stream that players select. None without audio."""
        return self.audio.channel_layout if self.has_audio else None

    @property
    def has_video(self) -> bool:
        """Whether there is a video stream or a still image."""
        return self.probe.width is not None

    @property
    def length(self) -> float:
        """Playback time in seconds: the video duration, unless the audio is longer by 0.25 s or more."""
        whole = self.probe.duration or 0.0
        video = self.video_seconds or whole
        return video if abs(whole - video) < _AUDIO_OVERHANG else whole

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio stream, even a silent one."""
        return self.probe.audio_codec is not None


async def probe(path: Path) -> Probe:
    """Return the probe of a file.

    Raises FFmpegFailed if it cannot be read as media, FileNotFoundError if it does not exist.
    """
    return (await probe_details(path)).probe


async def probe_if_media(path: Path) -> Probe | None:
    """Return the probe of a file, or None if it cannot be read as media."""
    try:
        return await probe(path)
    except FFmpegFailed:
        return None


async def probe_details(path: Path, *, to_end: bool = False) -> MediaInfo:
    """Return the probe of a file with its streams, chapters and tags. Raises as `probe` does.

    With `to_end`, the end of the file is read, too, which finds a file that was cut off.
    """
    try:
        facts = await asyncio.to_thread(path.stat)
    except FileNotFoundError:
        raise
    except OSError as error:  # a symlink loop, a folder without permission
        raise FFmpegFailed(f"'{path.name}' cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe or a device may never end
        raise FFmpegFailed(f"'{path.name}' is not a file")
    if facts.st_size == 0:
        raise FFmpegFailed(f"'{path.name}' is empty")
    return _media_info(path, await current_pool().read(path, to_end=to_end))


def _media_info(path: Path, response: dict[str, Any]) -> MediaInfo:
    probe, video = Probe.model_validate(response["probe"]), response["video"]
    streams = tuple(read_stream(each) for each in response["streams"])
    scan = response["scan"] or {}
    media = MediaInfo(
        path,
        probe,
        streams=streams,
        chapters=read_chapters(response["chapters"]),
        tags=read_tags(response["tags"]),
        missing=response["missing"],
        audio_index=response["audio"],
        hidden_audio=frozenset(response["hidden_audio"]),
        edits={int(index): tuple(Piece(*each) for each in pieces) for index, pieces in response["edits"].items()},
        exact_audio=response["exact_audio"],
        clock_jumps=tuple(scan.get("clock_jumps", ())),
        audio_changes=response["audio_changes"] or bool(scan.get("audio_changes")),
        longest_gop=max(_DEFAULT_GOP, scan.get("longest_gop", 0)),
    )
    if video is None:
        return media
    unspecified = video["matrix"] == _UNSPECIFIED_MATRIX and not video["still"]
    # By the stored height: players do not look at the rotation.
    height = next((each.height for each in streams if each.index == video["index"]), None) or 0
    default_matrix = "bt709" if height > SD_HEIGHT else "bt601"
    return replace(
        media,
        still=video["still"],
        hdr=video["transfer"] in _HDR_TRANSFERS,
        interlaced=video["interlaced"],
        video_changes=video["changes"],
        hidden_frames=video["hidden"],
        empty_frames=video["empty_frames"],
        late_frames=video["late_frames"],
        field_coded=video["field_coded"],
        base_rate=video["base_rate"],
        assumed_matrix=default_matrix if unspecified else None,
        video_seconds=video["seconds"] or probe.duration,
        video_headers=video["headers"],
        video_index=video["index"],
        normalization=video.get("normalization"),
    )
