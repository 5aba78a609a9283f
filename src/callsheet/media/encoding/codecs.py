"""Which codecs go into which container, with the words for sound and container."""

from typing import Literal

Format = Literal["mp4", "webm", "mkv"]
Container = Format | Literal["mov"]
"""With that of Apple's editors, which a finished video can be put into."""
VideoCodec = Literal["h264", "h265", "vp9", "av1"]
AudioCodec = Literal["aac", "opus", "flac"]

MUXERS: dict[Container, str] = {"mp4": "mp4", "webm": "webm", "mkv": "matroska", "mov": "mov"}
MEDIA_TYPES: dict[Container, str] = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
}

# The first of each is the default. What players cannot be trusted with is left out, such as VP9 or Opus in MP4.
VIDEO_CODECS: dict[Container, tuple[VideoCodec, ...]] = {
    "mp4": ("h264", "h265", "av1"),
    # SVT-AV1 costs less than half of VP9 for smaller files.
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

_PROBED: dict[str, VideoCodec | AudioCodec] = {
    "h264": "h264",
    "hevc": "h265",
    "vp9": "vp9",
    "av1": "av1",
    "aac": "aac",
    "opus": "opus",
    "flac": "flac",
}


def check_codec(codec: str | None, allowed: tuple[str, ...], format: str) -> None:
    """Raise ValueError when a codec does not go into a container; None always does."""
    if codec is not None and codec not in allowed:
        raise ValueError(f"{codec} does not go into {format}; {format} takes {', '.join(allowed)}")


def codec_from_probe(probed: str | None) -> VideoCodec | AudioCodec | None:
    """Return our word for a codec as a probe names it; None for those that we do not write."""
    return _PROBED.get(probed or "")


_WORST_CRF: dict[VideoCodec, int] = {"h264": 51, "h265": 51, "vp9": 63, "av1": 63}


def max_crf(codec: VideoCodec) -> int:
    """Return the largest constant rate factor that the codec knows."""
    return _WORST_CRF[codec]


def audio_args(codec: AudioCodec, bitrate: int | None, *, sample_rate: int = 48_000) -> list[str]:
    """Return the output options for sound; without a bit rate, that which suits stereo."""
    encoder = {"aac": "aac", "opus": "libopus", "flac": "flac"}[codec]
    usual = {"aac": 160_000, "opus": 112_000, "flac": None}[codec]
    rate = None if codec == "flac" else bitrate or usual
    return ["-c:a", encoder, *(("-b:a", str(rate)) if rate else ()), "-ar", str(sample_rate)]


def container_args(format: Container, codec: VideoCodec) -> list[str]:
    """Return the output options for the container; `codec` is that of the picture."""
    words = ["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn", "-f", MUXERS[format]]
    if format in ("mp4", "mov"):
        words += ["-movflags", "+faststart"]
        # Apple's players know HEVC by this tag only.
        words += ["-tag:v", "hvc1"] if codec == "h265" else []
    return words
