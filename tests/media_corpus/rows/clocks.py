"""Files whose clock restarts, jumps, overflows, or starts elsewhere for one of their streams."""

from ..clips import X264
from ..film_recipes import concatenated, film, joined_streams, late, remuxed
from ..table import FILTERED, Row

JUMPS = "clock"
_MPEG2 = "mpeg2video -b:v 1M"

ROWS = (
    Row("reset.ts", joined_streams(0), notes=JUMPS, also=frozenset({"upscale"})),
    Row("gap.ts", joined_streams(3600), notes=JUMPS, skip=FILTERED),
    Row("unmarked.ts", joined_streams(0, marked=False), notes=JUMPS, skip=FILTERED),
    Row("backwards.ts", joined_streams(-0.5, marked=False), notes=JUMPS, skip=FILTERED),
    Row("reset.m2ts", joined_streams(0, suffix="m2ts"), notes=JUMPS, skip=FILTERED),
    Row("reset.mpg", joined_streams(0, marked=False, suffix="mpg", video=_MPEG2), notes=JUMPS, skip=FILTERED),
    Row(
        "three-parts.ts",
        concatenated("ts", 3),
        seconds=3.0,
        frames=75,
        flashes=(0.5, 1.5, 2.5),
        beeps=(0.5, 1.5, 2.5),
        notes=JUMPS,
        skip=FILTERED,
    ),
    Row("mpeg2-parts.ts", concatenated("ts", 2, _MPEG2), notes=JUMPS, skip=FILTERED),
    Row("b-frames-parts.ts", concatenated("ts", 2, "libx264 -preset veryfast -bf 3 -g 25"), notes=JUMPS, skip=FILTERED),
    Row("overflow.ts", film(X264, "mp2", extra="-output_ts_offset 95442.7"), skip=FILTERED),
    Row("late-start.ts", film(X264, "mp2", extra="-output_ts_offset 50000"), skip=FILTERED),
    Row("late-start.mkv", remuxed("-output_ts_offset", "100", suffix="mkv"), skip=FILTERED),
    Row(
        "late-start.mp4",
        remuxed("-output_ts_offset", "100", "-movflags", "frag_keyframe+empty_moov+default_base_moof"),
        skip=FILTERED,
    ),
    Row("late-audio.mkv", late("a", 0.8), beeps=(1.5,)),
    Row("late-audio.mp4", late("a", 0.8, "aac"), beeps=(1.5,), skip=FILTERED),
    Row("late-video.mkv", late("v", 0.8), frames=None, flashes=(1.5,), skip=frozenset({"concat"})),
    Row("late-video.mp4", late("v", 0.8, "aac"), frames=None, flashes=(1.5,), skip=frozenset({"concat"})),
)
