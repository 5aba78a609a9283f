"""Which codecs go into which container, with the encoder and the words for each."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from callsheet.domain.errors import MediaFailed
from callsheet.media.words import PRESETS, Quality

Format = Literal["mp4", "webm", "mkv"]
VideoCodec = Literal["h264", "h265", "vp9", "av1"]
AudioCodec = Literal["aac", "opus", "flac"]

MUXERS: dict[Format, str] = {"mp4": "mp4", "webm": "webm", "mkv": "matroska"}
MEDIA_TYPES: dict[Format, str] = {"mp4": "video/mp4", "webm": "video/webm", "mkv": "video/x-matroska"}

# The first of each is the default. What players cannot be trusted with is left out, such as VP9 or Opus in MP4.
VIDEO_IN: dict[Format, tuple[VideoCodec, ...]] = {
    "mp4": ("h264", "h265", "av1"),
    # SVT-AV1 costs less than half of VP9 for smaller files.
    "webm": ("av1", "vp9"),
    "mkv": ("h264", "h265", "vp9", "av1"),
}
AUDIO_IN: dict[Format, tuple[AudioCodec, ...]] = {"mp4": ("aac",), "webm": ("opus",), "mkv": ("aac", "opus", "flac")}

_PROBED: dict[str, VideoCodec | AudioCodec] = {
    "h264": "h264",
    "hevc": "h265",
    "vp9": "vp9",
    "av1": "av1",
    "aac": "aac",
    "opus": "opus",
    "flac": "flac",
}


def codec_of(probed: str | None) -> VideoCodec | AudioCodec | None:
    """Return our word for a codec as a probe names it; None for those that we do not write."""
    return _PROBED.get(probed or "")


@dataclass(frozen=True, slots=True)
class _Knobs:
    """How one codec is steered."""

    encoders: tuple[str, ...]
    """The better ones first."""
    crf: dict[Quality, int]
    worst_crf: int
    speeds: tuple[int, ...] = ()
    """The encoder's own number for each of `PRESETS`; empty where it knows the names."""


_KNOBS: dict[VideoCodec, _Knobs] = {
    "h264": _Knobs(("libx264",), {"low": 28, "medium": 23, "high": 19, "best": 16}, 51),
    "h265": _Knobs(("libx265",), {"low": 32, "medium": 27, "high": 23, "best": 20}, 51),
    "vp9": _Knobs(("libvpx-vp9",), {"low": 38, "medium": 32, "high": 26, "best": 20}, 63, (8, 7, 6, 5, 5, 4, 2, 1, 0)),
    "av1": _Knobs(
        ("libsvtav1", "libaom-av1"),
        {"low": 40, "medium": 34, "high": 28, "best": 22},
        63,
        (12, 11, 10, 9, 9, 8, 6, 5, 4),
    ),
}


def worst_crf(codec: VideoCodec) -> int:
    """Return the largest constant rate factor that the codec knows."""
    return _KNOBS[codec].worst_crf


def video_words(
    codec: VideoCodec,
    known: Collection[str],
    *,
    quality: Quality | None = None,
    crf: int | None = None,
    bitrate: int | None = None,
    preset: str = "medium",
    threads: int = 1,
) -> list[str]:
    """Return the output options for a picture; `known` are the encoders of this FFmpeg, `bitrate` is in bit/s.

    Raises MediaFailed when none of them writes the codec.
    """
    knobs = _KNOBS[codec]
    encoder = next((name for name in knobs.encoders if name in known), None)
    if encoder is None:
        raise MediaFailed(f"this FFmpeg cannot write {codec.upper()}: it has no {knobs.encoders[0]}")
    factor = crf if crf is not None else knobs.crf[quality or "medium"]
    size = _bitrate(encoder, bitrate) if bitrate else _crf(encoder, factor)
    return ["-c:v", encoder, *size, *_speed(encoder, knobs, preset), *_habits(encoder, threads)]


def _crf(encoder: str, crf: int) -> list[str]:
    # Without the zero these two take the factor for a mere limit on top of a default bit rate.
    return ["-crf", str(crf), *(("-b:v", "0") if encoder in ("libvpx-vp9", "libaom-av1") else ())]


def _bitrate(encoder: str, bitrate: int) -> list[str]:
    if encoder == "libsvtav1":  # it takes a maximum together with a CRF only
        return ["-b:v", str(bitrate)]
    return ["-b:v", str(bitrate), "-maxrate", str(bitrate * 3 // 2), "-bufsize", str(bitrate * 2)]


def _speed(encoder: str, knobs: _Knobs, preset: str) -> list[str]:
    if not knobs.speeds:
        return ["-preset", preset]
    number = knobs.speeds[PRESETS.index(preset)]
    if encoder == "libsvtav1":
        return ["-preset", str(number)]
    return ["-deadline" if encoder == "libvpx-vp9" else "-usage", "good", "-cpu-used", str(min(8, number))]


def _habits(encoder: str, threads: int) -> list[str]:
    match encoder:
        case "libx265":
            return ["-x265-params", f"log-level=error:pools={threads}"]
        case "libvpx-vp9" | "libaom-av1":
            # Without rows in parallel, one processor does nearly all of the work.
            return ["-row-mt", "1", "-threads", str(threads)]
        case "libsvtav1":
            return ["-svtav1-params", f"lp={threads}"]
        case _:
            return ["-threads", str(threads)]


def audio_words(codec: AudioCodec, bitrate: int | None) -> list[str]:
    """Return the output options for sound: stereo at most, at 48 kHz."""
    encoder = {"aac": "aac", "opus": "libopus", "flac": "flac"}[codec]
    usual = {"aac": 160_000, "opus": 112_000, "flac": None}[codec]
    rate = None if codec == "flac" else bitrate or usual
    return ["-c:a", encoder, *(("-b:a", str(rate)) if rate else ()), "-ar", "48000"]


def container_words(format: Format, codec: VideoCodec) -> list[str]:
    """Return the output options for the container; `codec` is that of the picture."""
    words = ["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn", "-f", MUXERS[format]]
    if format == "mp4":
        words += ["-movflags", "+faststart"]
        # Apple's players know HEVC by this tag only.
        words += ["-tag:v", "hvc1"] if codec == "h265" else []
    return words
