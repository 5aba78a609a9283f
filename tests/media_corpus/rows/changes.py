"""Files whose picture or audio changes on the way."""

from ..clips import BEEP
from ..film_recipes import changing, different_files
from ..table import FILTERED, Row

JOINED = "changes its format"
DIFFERENT = "different formats, so that they were encoded"
BEHIND = "put behind each other"
_SURROUND = (BEEP, BEEP, "0", "0", "0", "0")
_VP8 = "libvpx -deadline realtime -g 25"
_MPEG2 = "mpeg2video -b:v 1M"
_BOTH = frozenset({"upscale", "interpolate"})
_WIDE = "setsar=16/11"

ROWS = (
    Row("channels.ts", changing("ts", {}, {"sound": _SURROUND}, "ac3"), notes=JOINED, level=None),
    Row("channels.mkv", changing("mkv", {}, {"sound": _SURROUND}, "ac3"), notes=JOINED, level=None, skip=FILTERED),
    Row("surround-first.ts", changing("ts", {"sound": _SURROUND}, {}, "ac3"), notes=JOINED, level=None, skip=FILTERED),
    Row("mono-first.ts", changing("ts", {"sound": (BEEP,)}, {}, "aac"), notes=JOINED, skip=FILTERED),
    Row(
        "mono-first.flv",
        changing("flv", {"sound": (BEEP,), "hertz": 44_100}, {"hertz": 44_100}, "aac"),
        notes=JOINED,
        skip=FILTERED,
    ),
    Row("rates.ts", changing("ts", {"hertz": 44_100}, {}, "mp2"), notes=JOINED, skip=FILTERED),
    Row("rates.mkv", changing("mkv", {"hertz": 44_100}, {}, "libmp3lame"), notes=JOINED, skip=FILTERED),
    Row("dts.ts", changing("ts", {}, {"sound": _SURROUND}, "dca -strict -2"), notes=JOINED, level=None, skip=FILTERED),
    Row(
        "latm.ts",
        changing("ts", {"hertz": 44_100, "extra": "-mpegts_flags latm"}, {"extra": "-mpegts_flags latm"}, "aac"),
        notes=JOINED,
        skip=FILTERED,
    ),
    Row("smaller.webm", changing("webm", {}, {"size": "64x36"}, "libopus", _VP8), skip=FILTERED, also=_BOTH),
    Row("larger.webm", changing("webm", {}, {"size": "192x108"}, "libopus", _VP8), skip=FILTERED),
    Row("taller.webm", changing("webm", {}, {"size": "36x64"}, "libopus", _VP8), corners=(), also=_BOTH),
    Row(
        "smaller.mkv",
        changing("mkv", {}, {"size": "64x36"}, "aac", "libvpx-vp9 -deadline realtime -g 25"),
        skip=FILTERED,
    ),
    Row("smaller.ts", changing("ts", {}, {"size": "64x36"}, "mp2"), skip=FILTERED),
    Row("smaller.flv", changing("flv", {"hertz": 44_100}, {"size": "64x36", "hertz": 44_100}, "aac"), skip=FILTERED),
    Row("smaller-mpeg2.ts", changing("ts", {}, {"size": "64x36"}, "mp2", _MPEG2), skip=FILTERED),
    Row(
        "smaller-hevc.ts",
        changing("ts", {}, {"size": "64x36"}, "mp2", "libx265 -preset ultrafast -x265-params log-level=error"),
        skip=FILTERED,
    ),
    Row(
        "wider-pixels.ts",
        changing("ts", {"size": "96x64"}, {"size": "66x64", "filters": _WIDE}, "mp2", _MPEG2),
        size=(96, 64),
        skip=FILTERED,
        also=_BOTH,
    ),
    Row(
        "pixel-aspect.ts",
        changing("ts", {"size": "96x64"}, {"size": "96x64", "filters": _WIDE}, "mp2", _MPEG2),
        size=(96, 64),
        skip=FILTERED,
    ),
    Row("pixel-format.ts", changing("ts", {}, {"pixels": "yuv444p"}, "mp2"), skip=FILTERED, also=_BOTH),
    Row("bit-depth.ts", changing("ts", {}, {"pixels": "yuv420p10le"}, "mp2"), skip=FILTERED),
    Row(
        "range.ts",
        changing(
            "ts",
            {},
            {
                "colors": "scale=out_color_matrix=bt709:out_range=pc",
                "tags": "-colorspace bt709 -color_range pc",
                "pixels": "yuv420p",
            },
            "mp2",
        ),
        skip=FILTERED,
    ),
    Row("frame-rate.ts", changing("ts", {}, {"rate": "50"}, "mp2"), slack=0.12, skip=FILTERED),
    Row("frame-rate.mkv", changing("mkv", {"rate": "50"}, {}, "aac"), slack=0.12, skip=FILTERED),
    Row("other-size.mp4", different_files("mp4", {}, {"size": "64x36"}), notes=DIFFERENT),
    Row("other-shape.mkv", different_files("mkv", {}, {"size": "36x64"}), corners=(), notes=DIFFERENT, skip=FILTERED),
    Row(
        "other-codecs.mkv",
        different_files("mkv", {}, {"video": _VP8, "audio": "libopus"}),
        notes=DIFFERENT,
        skip=FILTERED,
    ),
    Row("audio-ends.mp4", different_files("mp4", {}, {"audio": None}), beeps=(0.5,), notes=DIFFERENT, skip=FILTERED),
    Row("audio-begins.mp4", different_files("mp4", {"audio": None}, {}), beeps=(1.5,), notes=DIFFERENT, skip=FILTERED),
    Row("other-audio.mkv", different_files("mkv", {}, {"audio": "ac3"}), notes=BEHIND, skip=FILTERED),
    Row(
        "other-codecs.ts",
        different_files("ts", {"video": _MPEG2, "audio": "mp2"}, {"extra": "-output_ts_offset 1"}),
        notes=DIFFERENT,
        skip=FILTERED,
    ),
    Row("other-audio.ts", different_files("ts", {"audio": "mp2"}, {}), notes=BEHIND, skip=FILTERED),
    Row(
        "other-streams.ts",
        different_files("ts", {"audio": "mp2"}, {"audio": "mp2", "extra": "-mpegts_start_pid 0x200"}),
        notes=BEHIND,
        slack=0.12,
        also=frozenset({"upscale"}),
    ),
)
