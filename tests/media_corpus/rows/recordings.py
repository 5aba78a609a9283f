"""Recordings of cameras and of streams, whose indexes, lengths and clocks are wrong or missing."""

from ..clips import BEEP, X264
from ..damage_recipes import cut_off
from ..film_recipes import edited_header, film, remuxed, transparent, with_streams
from ..header_edits import (
    asf_seconds,
    flv_seconds,
    without_asf_index,
    without_flv_metadata,
    without_fragment_index,
    without_matroska_cues,
    without_matroska_duration,
    wrong_asf_index,
    wrong_segment_index,
)
from ..table import COPIES, FILTERED, Row

_B = "libx264 -preset veryfast -bf 3 -g 25"
_CUT = "cut off"
_WMV = film("wmv2", "wmav2")
_LATE = {"slack": 0.12, "skip": FILTERED}
"""FFmpeg's encoder of WMA is 43 ms late."""
_FLV = film(X264, "aac", hertz=44_100)
_HOURS = film(X264, "aac", hertz=44_100, extra="-output_ts_offset 7200")
_PART = {"seconds": 1.3, "frames": None, "flashes": (0.5,), "beeps": (0.5,), "slack": 0.3, "notes": _CUT}
_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"
_TIMECODE = "-timecode 01:00:00:00"

ROWS = (
    Row("no-index.wmv", edited_header(_WMV, "wmv", without_asf_index), **_LATE),
    Row("wrong-index.wmv", edited_header(_WMV, "wmv", wrong_asf_index), **_LATE),
    Row("states-more.wmv", edited_header(_WMV, "wmv", asf_seconds(3)), **_LATE),
    Row("states-nothing.wmv", edited_header(_WMV, "wmv", asf_seconds(0)), **_LATE),
    Row("cut-off.wmv", cut_off(0.7, film("wmv2 -g 1", "wmav2"), "wmv"), **_PART, skip=FILTERED),
    Row("reordered.avi", film(_B, "libmp3lame"), notes="when its frames are shown", also=frozenset({"upscale"})),
    Row("hours.flv", edited_header(_HOURS, "flv", flv_seconds(0)), skip=FILTERED),
    Row("states-hours.flv", edited_header(_FLV, "flv", flv_seconds(7200)), skip=FILTERED),
    Row("no-metadata.flv", edited_header(_FLV, "flv", without_flv_metadata), skip=FILTERED),
    Row("no-duration.mkv", edited_header(film(), "mkv", without_matroska_duration), skip=FILTERED),
    Row("no-cues.mkv", edited_header(film(_B), "mkv", without_matroska_cues), skip=FILTERED),
    Row(
        "cut-off-alpha.webm",
        cut_off(
            0.6, transparent("libvpx -deadline realtime -g 1 -auto-alt-ref 0", "libopus", pixels="yuva420p"), "webm"
        ),
        **_PART,
        skip=FILTERED | COPIES,
    ),
    Row(
        "no-fragment-index.mp4",
        edited_header(remuxed("-movflags", _FRAGMENTS), "mp4", without_fragment_index),
        skip=FILTERED,
    ),
    Row(
        "wrong-segment-index.mp4",
        edited_header(
            remuxed("-movflags", f"{_FRAGMENTS}+global_sidx", source=film("libx264 -preset ultrafast -g 12")),
            "mp4",
            wrong_segment_index,
        ),
    ),
    Row(
        "font.mkv",
        with_streams(
            maps="-map 0:v -map 0:a -attach whole.mkv -metadata:s:t mimetype=font/ttf -metadata:s:t filename=a.ttf"
        ),
        skip=FILTERED,
    ),
    Row(
        "one-track-per-channel.mov",
        with_streams(
            maps="-map 0:v -filter_complex [0:a]channelsplit[left][right] -map [left] -map [right]",
            options=f"-c:v copy -c:a pcm_s16le {_TIMECODE}",
        ),
        level=None,
        skip=FILTERED,
    ),
    Row("four-channels.mov", film(X264, "pcm_s24le", sound=(BEEP, BEEP, "0", "0"), extra=_TIMECODE), level=None),
    Row("unsigned.mov", film(X264, "pcm_u8"), skip=FILTERED),
)
