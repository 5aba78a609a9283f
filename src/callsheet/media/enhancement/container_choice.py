"""The container of an enhanced video: one that can hold the other streams of the source without a change."""

from typing import Literal

from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream

EnhancedFormat = Literal["mp4", "mov", "mkv"]

_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
_MP4_SUBTITLES = frozenset({"mov_text"})
_MKV_SUBTITLES = frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"})


def choose_format(media: MediaInfo) -> EnhancedFormat:
    """Return the container that can hold the most streams of the source. Matroska stays Matroska."""
    is_matroska = (media.probe.format or "").startswith("matroska")
    order: tuple[EnhancedFormat, ...] = ("mkv", "mp4", "mov") if is_matroska else ("mp4", "mov", "mkv")
    return min(order, key=lambda format: len(unsupported_streams(format, media)))


def unsupported_streams(format: EnhancedFormat, media: MediaInfo) -> list[Stream]:
    """Return the audio and subtitle streams that a container cannot hold."""
    return [each for each in media.streams if each.type in ("audio", "subtitle") and not _holds(format, each)]


def _holds(format: EnhancedFormat, stream: Stream) -> bool:
    codec = stream.codec or ""
    if format == "mkv":
        return stream.type == "audio" or codec in _MKV_SUBTITLES
    if stream.type == "subtitle":
        return codec in _MP4_SUBTITLES
    return codec in _MP4_AUDIO or (format == "mov" and codec.startswith("pcm_"))
