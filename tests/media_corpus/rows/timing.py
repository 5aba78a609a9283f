"""Frames at uneven times, edit lists, odd rates."""

from ..clips import X264
from ..film_recipes import faster, film, fragments, long_pause, remuxed, screen_recording, segments, uneven_frames
from ..table import FILTERED, Row

_HLS = frozenset({"hls"})
_PAUSE = {"seconds": 6.0, "frames": None, "flashes": (0.5, 5.5), "beeps": (0.5, 5.5), "also": _HLS, "skip": FILTERED}
_B = "libx264 -preset veryfast -bf 3 -g 25"

ROWS = (
    Row("screen.mp4", screen_recording(), frames=None, also=frozenset({"upscale", "hls"})),
    Row("pause.mp4", long_pause(X264, "aac"), **_PAUSE),
    Row("pause.webm", long_pause("libvpx -deadline realtime", "libopus"), **_PAUSE),
    Row("pause.mkv", long_pause(X264, "flac"), **_PAUSE),
    Row("pause-at-end.mkv", long_pause(X264, "flac", shown="lt(t,0.79)+gt(t,5.95)"), **{**_PAUSE, "flashes": (0.5,)}),
    Row(
        "very-late-video.mkv",
        long_pause(X264, "flac", shown="gt(t,5.39)"),
        **{**_PAUSE, "flashes": (5.5,), "corners": ()},
    ),
    Row("segments.ts", segments("ts", 25, 50, 10, 100), frames=None, slack=0.12, also=_HLS),
    Row("segments.mp4", fragments(screen_recording()), frames=None, slack=0.12, also=_HLS, skip=FILTERED),
    Row("faster.mkv", faster, frames=None, also=_HLS, skip=FILTERED),
    Row("screen.mkv", screen_recording(), frames=None, skip=FILTERED),
    Row("screen.webm", screen_recording("libvpx -deadline realtime -g 25", "libopus"), frames=None, skip=FILTERED),
    Row("uneven.mp4", uneven_frames, frames=None, skip=FILTERED),
    Row("uneven.mkv", uneven_frames, frames=None, skip=FILTERED),
    Row("slow.mp4", film(rate="5"), frames=None, slack=0.21, skip=FILTERED),
    Row("fast.mp4", film(rate="120"), frames=None, skip=FILTERED),
    Row(
        "trimmed.mp4",
        remuxed("-t", "1.5", before=("-ss", "0.3")),
        seconds=1.5,
        frames=None,
        flashes=(0.2, 1.2),
        beeps=(0.2, 1.2),
    ),
    Row(
        "trimmed-b-frames.mp4",
        remuxed("-t", "1.5", before=("-ss", "0.3"), source=film(_B)),
        seconds=1.5,
        frames=None,
        flashes=(0.2, 1.2),
        beeps=(0.2, 1.2),
        slack=0.15,
        skip=FILTERED,
    ),
    Row(
        "trimmed.mov",
        remuxed("-t", "1.5", before=("-ss", "0.3"), suffix="mov"),
        seconds=1.5,
        frames=None,
        flashes=(0.2, 1.2),
        beeps=(0.2, 1.2),
        skip=FILTERED,
    ),
    Row(
        "delayed.mp4",
        film(X264, "aac", extra="-output_ts_offset 0.5"),
        skip=FILTERED,
    ),
    Row(
        "no-edit-list.mp4",
        remuxed("-use_editlist", "0", "-avoid_negative_ts", "make_zero", source=film(_B)),
        frames=None,
        slack=0.15,
        skip=FILTERED,
    ),
    Row("one-key-frame.mkv", film("libx264 -preset ultrafast -g 999"), skip=FILTERED),
    Row("all-key-frames.mp4", film("libx264 -preset ultrafast -g 1"), skip=FILTERED),
    Row("negative-cts.mp4", remuxed("-movflags", "negative_cts_offsets", source=film(_B)), skip=FILTERED),
    Row("odd-size.mkv", film("ffv1", "flac", size="95x53", pixels="yuv444p"), size=(95, 53), skip=FILTERED),
    Row(
        "odd-size.webm",
        film("libvpx-vp9 -deadline realtime -g 25", "libopus", size="95x53"),
        size=(95, 53),
        skip=FILTERED,
    ),
)
