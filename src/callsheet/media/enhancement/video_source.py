"""Describe the video stream of a source for the enhancement script."""

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.enhancement.requests import ColorTags, VideoSource
from callsheet.media.ffmpeg.inputs import MAX_PIXELS, MEDIA_FORMATS, demuxer_options, forced_demuxer
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream, color_numbers
from callsheet.media.thumbnails.preview_requests import SourceFile
from callsheet.media.thumbnails.tone_mapping import needs_conversion

_BT709, _BT601, _BT2020, _RGB = 1, 6, 9, 0
_UNSPECIFIED = 2
_CONVERTIBLE = frozenset({1, 4, 5, 6, 7, 9})
_LIMITED, _FULL = 1, 2


def source_file(media: MediaInfo) -> SourceFile:
    """Return the file, with the restrictions for opening it."""
    options = {"format_whitelist": MEDIA_FORMATS, "protocol_whitelist": "file,pipe", **demuxer_options(media.path)}
    return SourceFile(str(media.path.absolute()), forced_demuxer(media.path), options, decoder=media.decoder)


def video_source(media: MediaInfo, field: str = "src") -> VideoSource:
    """Return the video stream. Raises BadParams, for `field`, if its colors cannot be kept."""
    video = media.video
    assert video is not None  # noqa: S101 - it was probed as a video
    stored = _stored_colors(media, video, field)
    color = stored
    if needs_conversion(stored.transfer, stored.primaries):
        color = ColorTags(_BT709, _BT709, _BT709, _LIMITED)
    return VideoSource(
        source_file(media),
        video.index,
        stored,
        color,
        video.bit_depth or 8,
        media.probe.rotation,
        media.probe.mirrored,
        _displayed_aspect(video.pixel_aspect_ratio, media.probe.rotation),
        (video.width or 0, video.height or 0),
        media.probe.pixel_format or "yuv420p",
        media.may_be_interlaced,
        MAX_PIXELS,
    )


def _stored_colors(media: MediaInfo, video: Stream, field: str) -> ColorTags:
    matrix, primaries, transfer = color_numbers(video)
    # Frames in RGB get the matrix of HD, and those that state none the one that players assume.
    assumed = _BT2020 if media.hdr else _BT601 if media.assumed_matrix == "bt601" else _BT709
    matrix = assumed if matrix is None else _BT709 if matrix == _RGB else matrix
    if matrix not in _CONVERTIBLE:
        message = f"the color matrix {video.color_matrix} is not supported: run `transcode` on it first"
        raise BadParams([Problem(field, "unsupported", f"{message}: '{media.path.name}'")])
    is_full = video.color_range == "pc" and video.color_matrix != "gbr"
    return ColorTags(matrix, primaries or _UNSPECIFIED, transfer or _UNSPECIFIED, _FULL if is_full else _LIMITED)


def _displayed_aspect(ratio: str | None, rotation: int) -> tuple[int, int]:
    width, height = (int(part) for part in (ratio or "1:1").split(":"))
    if not width or not height:
        return 1, 1
    return (height, width) if rotation in (90, 270) else (width, height)


def source_notes(media: MediaInfo) -> list[str]:
    """Return what was changed or is missing in a video, and what is not kept of it."""
    notes = [*media.notes]
    if media.hdr:
        notes.append("HDR was converted to SDR, since models are made for SDR")
    pixel_format = media.probe.pixel_format or ""
    if pixel_format.startswith(("yuva", "rgba", "argb", "bgra", "gbrap", "ya")):
        notes.append("the transparency of the video was removed; it is seen on black")
    return notes
