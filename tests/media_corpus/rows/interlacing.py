"""Interlaced films, and films that only say that they are."""

from ..film_recipes import coded_as_fields, film, from_fields, progressive_then_interlaced
from ..table import COPIES, FILTERED, Row

_FLAGS = "-flags +ilme+ildct"
_X264, _MPEG2 = f"libx264 -preset ultrafast {_FLAGS}", f"mpeg2video -b:v 1M {_FLAGS}"
_BOTH = frozenset({"upscale", "interpolate"})
_SIZE = {"size": (96, 64)}

ROWS = (
    Row("top-first.mp4", from_fields(_X264, "top"), **_SIZE, also=_BOTH),
    Row("bottom-first.mp4", from_fields(f"{_X264} -x264-params bff=1", "bottom"), **_SIZE, skip=FILTERED),
    Row("top-first.mkv", from_fields(_X264, "top"), **_SIZE, skip=FILTERED),
    Row("top-first.ts", from_fields(_X264, "top"), **_SIZE, skip=FILTERED),
    Row("top-first.mpg", from_fields(_MPEG2, "top"), **_SIZE, skip=FILTERED),
    Row("bottom-first.ts", from_fields(_MPEG2, "bottom"), **_SIZE, skip=FILTERED),
    Row(
        "fields.mov",
        from_fields("prores_ks -pix_fmt yuv422p10le -flags +ildct", "top"),
        **_SIZE,
        skip=FILTERED | COPIES,
    ),
    Row("title-first.ts", progressive_then_interlaced("ts", "mpeg2video -b:v 1M"), **_SIZE, skip=FILTERED),
    Row(
        "title-first-h264.ts", progressive_then_interlaced("ts", "libx264 -preset ultrafast -g 25"), **_SIZE, also=_BOTH
    ),
    Row(
        "title-first.mkv", progressive_then_interlaced("mkv", "libx264 -preset ultrafast -g 25"), **_SIZE, skip=FILTERED
    ),
    Row("only-marked.mp4", film(f"{_X264}", "aac", size="96x64", filters="setfield=tff"), **_SIZE, skip=FILTERED),
    Row("marked-outside.mkv", from_fields("ffv1 -field_order tt", "top"), **_SIZE, skip=FILTERED | COPIES),
    Row(
        "fields-as-pictures.mkv",
        from_fields("libx265 -preset ultrafast -x265-params log-level=error:interlace=tff", "top"),
        **_SIZE,
        skip=FILTERED,
    ),
    Row("coded-as-fields.ts", coded_as_fields("top"), **_SIZE),
    Row("coded-as-fields.mp4", coded_as_fields("top"), **_SIZE, skip=FILTERED),
    Row("coded-as-fields.mkv", coded_as_fields("bottom"), **_SIZE, skip=FILTERED, also=_BOTH),
)
