"""Codecs of each container, and the FFmpeg arguments for audio and container."""

from typing import Literal

from callsheet.media.encoding import audio_bitrates

Format = Literal["mp4", "webm", "mkv"]
Container = Format | Literal["mov"]
"""The output containers: those above, and QuickTime for Apple's editors."""
VideoCodec = Literal["h264", "h265", "vp9", "av1"]
AudioCodec = Literal["aac", "opus", "flac"]

MUXERS: dict[Container, str] = {"mp4": "mp4", "webm": "webm", "mkv": "matroska", "mov": "mov"}
MEDIA_TYPES: dict[Container, str] = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
}

# The first of each is the default. Combinations with poor player support, such as VP9 or Opus in MP4, are left out.
VIDEO_CODECS: dict[Container, tuple[VideoCodec, ...]] = {
    "mp4": ("h264", "h265", "av1"),
    # SVT-AV1 encodes in less than half the time of libvpx-vp9, into smaller files.
    "webm": ("av1", "vp9"),
    "mkv": ("h264", "h265", "vp9", "av1"),
    "mov": ("h264", "h265"),
}
AUDIO_CODECS: dict[Container, tuple[AudioCodec, ...]] = {
    "mp4": ("aac",),
    "webm": ("opus",),
    "mkv": ("aac", "opus", "flac"),
    "mov": ("aac",),
}

_BY_PROBED_NAME: dict[str, VideoCodec | AudioCodec] = {
    "h264": "h264",
    "hevc": "h265",
    "vp9": "vp9",
    "av1": "av1",
    "aac": "aac",
    "opus": "opus",
    "flac": "flac",
}


def check_codec(codec: str | None, allowed: tuple[str, ...], format: str) -> None:
    """Raise ValueError if a container does not support a codec. None is always accepted."""
    if codec is not None and codec not in allowed:
        raise ValueError(f"{format} does not support {codec}; it supports {', '.join(allowed)}")


def codec_from_probe(probed: str | None) -> VideoCodec | AudioCodec | None:
    """Return the codec for the name in a probe, or None if callsheet does not encode it."""
    return _BY_PROBED_NAME.get(probed or "")


_AUDIO_ENCODERS: dict[AudioCodec, str] = {"aac": "aac", "opus": "libopus", "flac": "flac"}
_MAX_CRF: dict[VideoCodec, int] = {"h264": 51, "h265": 51, "vp9": 63, "av1": 63}


def max_crf(codec: VideoCodec) -> int:
    """Return the largest constant rate factor (CRF) of a codec, which is the lowest quality."""
    return _MAX_CRF[codec]


def audio_args(
    codec: AudioCodec,
    bitrate: int | str | None,
    *,
    channels: int = 2,
    sample_rate: int | None = 48_000,
    track: int | None = None,
) -> list[str]:
    """Return the output options for audio.

    `bitrate` is in bits per second, or a text such as `192k`; None: the delivery default (see `audio_bitrates`). It is
    ignored for FLAC. `sample_rate` is in hertz; None: not changed. `track` is the number of the audio stream in the
    output; None: all of them.
    """
    stream = "a" if track is None else f"a:{track}"
    rate = None if codec == "flac" else bitrate or audio_bitrates.DELIVERY[codec]
    return [
        *(f"-c:{stream}", _AUDIO_ENCODERS[codec]),
        *((f"-b:{stream}", str(rate)) if rate else ()),
        # FFmpeg's Opus encoder supports surround only with an explicit mapping family.
        *((f"-mapping_family:{stream}", "1") if codec == "opus" and channels > 2 else ()),
        *(("-ar", str(sample_rate)) if sample_rate else ()),
    ]


def container_args(format: Container, codec: VideoCodec) -> list[str]:
    """Return the output options for the container. `codec` is the video codec."""
    args = ["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn", "-f", MUXERS[format]]
    if format in ("mp4", "mov"):
        args += ["-movflags", "+faststart"]
        # Apple's players require this tag for HEVC.
        args += ["-tag:v", "hvc1"] if codec == "h265" else []
    return args
