"""Filters that bring HDR and wide-gamut colors to BT.709, which every screen displays correctly."""

from callsheet.media.ffmpeg.filter_graph import Options
from callsheet.media.probing.probe import MediaInfo

WIDE_PRIMARIES = frozenset({"bt2020", "smpte431", "smpte432"})
"""FFmpeg's names of wide-gamut primaries. smpte431 and smpte432 are those of P3, smpte432 is Display P3."""
ALPHA_FORMATS = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya", "pal8")
"""Beginnings of FFmpeg's names of pixel formats with an alpha channel."""
_UNSUPPORTED_MATRICES = frozenset({"ycgco"})
"""Matrices that the `scale` filter does not know."""


def is_wide_gamut(media: MediaInfo) -> bool:
    """Return whether SDR video has colors outside of BT.709, or a matrix that the `scale` filter does not know."""
    video = media.video
    if video is None or media.hdr:
        return False
    return video.color_primaries in WIDE_PRIMARIES or video.color_matrix in _UNSUPPORTED_MATRICES


def sdr_filters(media: MediaInfo) -> list[tuple[str, Options]]:
    """Return the filters that convert HDR or wide-gamut frames to BT.709. Empty for other video.

    zscale does not guess missing color properties, so the filters set the usual values for them.
    """
    if media.hdr:
        return [
            ("zscale", {**_input_options(media, "2020", "2020_ncl"), "t": "linear", "npl": 100}),
            ("format", {"pix_fmts": "gbrpf32le"}),
            ("zscale", {"p": "bt709"}),
            ("tonemap", {"tonemap": "hable", "desat": 0}),
            ("zscale", {"t": "bt709"}),
            *_to_clipped_yuv(media),
        ]
    if is_wide_gamut(media):
        narrow = {**_input_options(media, "709", "709"), "t": "709", "p": "709", "m": "gbr", "r": "pc"}
        return [("zscale", narrow), *_to_clipped_yuv(media)]
    return []


def _to_clipped_yuv(media: MediaInfo) -> list[tuple[str, Options]]:
    """Return the filters that clip colors outside of BT.709 in RGB. Clipped in YUV, red and blue would fade."""
    transparent = not media.hdr and (media.probe.pixel_format or "").startswith(ALPHA_FORMATS)
    clipped = "gbrap10le" if transparent else "gbrp10le"
    return [("format", {"pix_fmts": clipped}), ("zscale", {"m": "bt709", "r": "tv"})]


def _input_options(media: MediaInfo, primaries: str, matrix: str) -> Options:
    """Return the values for the properties that the video does not state."""
    video = media.video
    assert video is not None  # noqa: S101 - only video has colors
    is_rgb = video.color_matrix == "gbr" or (video.pixel_format or "").startswith(("gbr", "rgb", "bgr"))
    return {
        "tin": None if video.color_transfer or media.hdr else "709",
        "pin": None if video.color_primaries else primaries,
        "min": None if video.color_matrix or is_rgb else matrix,
    }
