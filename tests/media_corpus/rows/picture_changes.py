"""Films whose picture is cropped, colored or shaped otherwise from the middle on, while its stored size may stay."""

from pathlib import Path

from ..clips import X264, Clips, Recipe
from ..film_recipes import changing, join
from ..table import FILTERED, Row

_SIZE = {"size": (96, 64), "skip": FILTERED}
_BT601 = {
    "colors": "scale=out_color_matrix=bt601:out_range=tv",
    "tags": "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m -color_range tv",
}
_WIDE = {"size": "66x64", "filters": "setsar=16/11"}


def _cropped(suffix: str, audio: str, first: str, second: str, cropping: str) -> Recipe:
    """Two halves in one stream, each with its filters. The headers of the second one crop it."""

    def make(clips: Clips, path: Path) -> None:
        for number, filters in enumerate((first, second)):
            half = clips.part(f"{number}.{suffix}")
            clips.film(half, X264, audio, seconds=1, size="96x64", filters=filters)
        clips.copy(half, clips.part(f"cropped.{suffix}"), "-bsf:v", f"h264_metadata={cropping}")
        join(clips, path, [f"0.{suffix}", f"cropped.{suffix}"])

    return make


ROWS = (
    Row("cropped-below.ts", _cropped("ts", "mp2", "null", "pad=96:80:0:0:gray", "crop_bottom=16"), **_SIZE),
    Row("cropped-below.mkv", _cropped("mkv", "aac", "null", "pad=96:80:0:0:gray", "crop_bottom=16"), **_SIZE),
    Row(
        "cropped-smaller.ts",
        _cropped("ts", "mp2", "null", "null", "crop_bottom=16:crop_right=24"),
        size=(96, 64),
        corners=(),
        skip=FILTERED,
    ),
    Row("matrix.ts", changing("ts", {}, _BT601, "mp2"), skip=FILTERED),
    Row("matrix-first.mkv", changing("mkv", _BT601, {}, "aac"), skip=FILTERED),
    Row("pixel-aspect.mkv", changing("mkv", {"size": "96x64"}, _WIDE, "aac"), size=(96, 64), corners=(), skip=FILTERED),
    Row("wide-first.ts", changing("ts", _WIDE, {"size": "96x64"}, "mp2"), **_SIZE),
)
