"""Pictures in other colors, turned, mirrored, transparent, or with pixels that are not square."""

from ..clips import TO_BT709, X264
from ..film_recipes import animated_avif, film, transparent, turned
from ..table import COPIES, FILTERED, Row, seen

_X265 = "libx265 -preset ultrafast -x265-params log-level=error"
_VP8, _VP9 = "libvpx -deadline realtime -g 25 -auto-alt-ref 0", "libvpx-vp9 -deadline realtime -g 25 -auto-alt-ref 0"
_OVERLAY = frozenset({"overlay"})
_BOTH = frozenset({"upscale", "interpolate"})


def _zscale(primaries: str, transfer: str, matrix: str, pixels: str = "yuv420p10le") -> dict[str, str]:
    filters = f"{TO_BT709},format=yuv444p10le,zscale=pin=709:tin=709:min=709:rin=tv:npl=203:r=tv"
    filters += f":p={primaries}:t={transfer}:m={matrix}"
    names = {"2020": "bt2020", "2020_ncl": "bt2020nc", "709": "bt709"}
    matrix, primaries, transfer = (names.get(name, name) for name in (matrix, primaries, transfer))
    tags = f"-colorspace {matrix} -color_primaries {primaries} -color_trc {transfer} -color_range tv"
    return {"colors": filters, "tags": tags, "pixels": pixels}


def _tagged(primaries: str, transfer: str, matrix: str, pixels: str = "yuv420p") -> dict[str, str]:
    """Colors of SDR with these tags. The pixels have the matrix that is stated; BT.601 if it is unknown."""
    stored = {"bt2020nc": "bt2020", "unknown": "bt601"}.get(matrix, matrix)
    return {
        "colors": f"scale=out_color_matrix={stored}:out_range=tv",
        "tags": "",
        "pixels": pixels,
        "filters": f"setparams=range=tv:color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}",
    }


_8_BITS = {"notes": "8 bits per color", "skip": FILTERED}
ROWS = (
    Row("pq.mp4", film(_X265, "aac", **_zscale("2020", "smpte2084", "2020_ncl")), skip=COPIES, also=_BOTH),
    Row("hlg.mp4", film(_X265, "aac", **_zscale("2020", "arib-std-b67", "2020_ncl")), skip=FILTERED | COPIES),
    Row("pq.mkv", film(_X265, "aac", **_zscale("2020", "smpte2084", "2020_ncl")), skip=FILTERED | COPIES),
    Row("bt2020.mp4", film(_X265, "aac", **_zscale("2020", "709", "2020_ncl")), also=_BOTH),
    Row("p3.mp4", film(X264, "aac", **_zscale("smpte432", "709", "709", "yuv420p")), skip=FILTERED),
    Row(
        "full-range.mp4",
        film(X264, "aac", colors="scale=out_color_matrix=bt709:out_range=pc", tags="-colorspace bt709 -color_range pc"),
        skip=FILTERED,
    ),
    Row(
        "bt601.mp4",
        film(
            X264,
            "aac",
            colors="scale=out_color_matrix=bt601:out_range=tv",
            tags="-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m -color_range tv",
        ),
        skip=FILTERED,
    ),
    Row(
        "untagged.avi",
        film("mpeg4", "libmp3lame", colors="scale=out_color_matrix=bt601:out_range=tv", tags=""),
        skip=FILTERED,
    ),
    # HDR tags on a picture of SDR, as editors leave them: every player takes the tags for true.
    Row("pq-tags-8-bit.mp4", film(X264, "aac", **_tagged("bt2020", "smpte2084", "bt2020nc")), **_8_BITS),
    Row(
        "hlg-tags-8-bit.mp4", film(X264, "aac", **_tagged("bt2020", "arib-std-b67", "bt2020nc")), corners=(), **_8_BITS
    ),
    Row("pq-transfer-only.mkv", film(X264, "aac", **_tagged("bt709", "smpte2084", "bt709")), **_8_BITS),
    Row("bt2020-primaries.mp4", film(X264, "aac", **_tagged("bt2020", "bt709", "bt709")), skip=FILTERED),
    Row("bt2020-matrix.mkv", film(X264, "aac", **_tagged("bt709", "bt709", "bt2020nc")), skip=FILTERED),
    Row(
        "untagged-10-bit.mkv",
        film(_X265, "aac", **_tagged("unknown", "unknown", "unknown", "yuv420p10le")),
        skip=FILTERED,
    ),
    Row("yuv422.mov", film("libx264 -preset ultrafast", "aac", pixels="yuv422p"), skip=FILTERED),
    Row("yuv444-10.mkv", film("libx264 -preset ultrafast", "aac", pixels="yuv444p10le"), skip=FILTERED),
    Row("ten-bit.mp4", film("libx264 -preset ultrafast", "aac", pixels="yuv420p10le"), skip=FILTERED),
    Row("rgb.mkv", film("libx264rgb -preset ultrafast", "aac", colors="null", pixels="rgb24", tags=""), skip=FILTERED),
    Row("rgb.mov", film("png", "pcm_s16le", colors="null", pixels="rgb24", tags=""), skip=FILTERED | COPIES),
    Row("gray.mp4", film("libx264 -preset ultrafast", "aac", pixels="gray"), corners=(), skip=FILTERED),
    Row("gbrp.mkv", film("ffv1", "flac", colors="null", pixels="gbrp", tags=""), skip=FILTERED),
    Row("turned-90.mp4", turned(90), size=(96, 54), skip=FILTERED, also=frozenset({"upscale"})),
    Row("turned-180.mov", turned(180), skip=FILTERED),
    Row("turned-270.mp4", turned(270), skip=FILTERED),
    Row("mirrored.mp4", turned(0, flip="h"), skip=FILTERED),
    Row("upside-down.mp4", turned(0, flip="v"), skip=FILTERED),
    Row("wide-pixels.mp4", film(X264, "aac", size="66x54", filters="setsar=16/11"), skip=FILTERED),
    Row("wide-pixels.mpg", film("mpeg2video -b:v 1M -aspect 16:9", "mp2", size="72x54"), skip=FILTERED),
    Row("alpha-vp8.webm", transparent(_VP8, "libopus", pixels="yuva420p"), skip=FILTERED | COPIES, also=_BOTH),
    Row("alpha-vp9.webm", transparent(_VP9, "libopus", pixels="yuva420p"), skip=FILTERED | COPIES, also=_BOTH),
    Row(
        "alpha-prores.mov",
        transparent("prores_ks -profile:v 4444", "pcm_s16le", pixels="yuva444p10le"),
        skip=FILTERED | COPIES,
        also=_BOTH,
    ),
    Row("alpha-qtrle.mov", transparent("qtrle", "pcm_s16le", pixels="argb"), skip=FILTERED | COPIES),
    Row("alpha-png.mov", transparent("png", "pcm_s16le", pixels="rgba"), skip=FILTERED | COPIES),
    Row("alpha-ffv1.mkv", transparent("ffv1", "flac", pixels="yuva420p"), skip=FILTERED | COPIES),
    seen("alpha.apng", transparent("apng", None, pixels="rgba"), clear=True, also=_OVERLAY, skip=FILTERED),
    seen(
        "alpha.webp",
        transparent("libwebp_anim -lossless 1", None, pixels="bgra"),
        slack=0.12,
        clear=True,
        also=_OVERLAY,
        skip=FILTERED,
    ),
    seen("alpha.avif", animated_avif, clear=True, also=_OVERLAY, skip=FILTERED),
    Row("rgb-16-bit.mov", film("png", "pcm_s16le", colors="null", pixels="rgb48be", tags=""), skip=FILTERED | COPIES),
    Row("yuv-16-bit.mkv", film("ffv1", "flac", pixels="yuv420p16le"), skip=FILTERED | COPIES, also=_BOTH),
    Row("alpha-16-bit.mkv", transparent("ffv1", "flac", pixels="gbrap16le"), skip=FILTERED | COPIES),
    Row(
        "prores-12-bit.mov",
        film("prores_ks -profile:v 5", "pcm_s16le", pixels="yuv444p12le"),
        skip=FILTERED | COPIES,
    ),
)
