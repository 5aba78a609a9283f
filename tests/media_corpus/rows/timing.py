"""Frames at uneven times, edit lists, odd rates."""

from ..clips import X264
from ..film_recipes import film, remuxed, screen_recording, uneven_frames
from ..table import FILTERED, Row

_B = "libx264 -preset veryfast -bf 3 -g 25"

ROWS = (
    Row("screen.mp4", screen_recording(), frames=None, also=frozenset({"upscale"})),
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
