"""MP4 files whose tracks play pieces of their samples (edit lists)."""

from collections.abc import Sequence

from ..clips import X264
from ..edit_lists import Edit, with_edits
from ..film_recipes import film
from ..sound_recipes import sound
from ..table import FILTERED, Row, audible

PIECES = "plays several pieces"
_B = "libx264 -preset veryfast -bf 3 -g 25"
_ALL: list[Edit] = [(0.0, 2.0)]
_GAP: list[Edit] = [(0.0, 0.8), (1.2, 0.8)]
_END: list[Edit] = [(0.3, 1.5)]
_WITHOUT_MIDDLE = {"seconds": 1.6, "frames": 40, "flashes": (0.5, 1.1), "beeps": (0.5, 1.1)}
_SHORT_AUDIO = FILTERED | {"extract-audio", "caption"}


def _both(edits: Sequence[Edit]) -> dict[str, Sequence[Edit]]:
    return {"vide": edits, "soun": edits}


ROWS = (
    Row("middle-left-out.mp4", with_edits(film(), _both(_GAP)), **_WITHOUT_MIDDLE, notes=PIECES),
    Row(
        "middle-left-out-b-frames.mp4",
        with_edits(film(_B), _both(_GAP)),
        **_WITHOUT_MIDDLE,
        notes=PIECES,
        skip=FILTERED,
        also=frozenset({"upscale"}),
    ),
    Row(
        "middle-left-out.mov",
        with_edits(film(X264, "pcm_s16le"), _both(_GAP), "mov"),
        **_WITHOUT_MIDDLE,
        notes=PIECES,
        skip=FILTERED,
    ),
    audible("middle-left-out.m4a", with_edits(sound("aac"), _both(_GAP), "m4a"), seconds=1.6, beeps=(0.5, 1.1)),
    Row("repeated.mp4", with_edits(film(_B), _both([(0.0, 1.0), (0.0, 1.0)])), notes=PIECES, skip=FILTERED),
    Row(
        "repeated-part.mp4",
        with_edits(film(), _both([(0.0, 1.0), (0.4, 1.0)])),
        flashes=(0.5, 1.1),
        beeps=(0.5, 1.1),
        notes=PIECES,
        skip=FILTERED,
    ),
    Row("swapped.mp4", with_edits(film(), _both([(1.0, 1.0), (0.0, 1.0)])), notes=PIECES, skip=FILTERED),
    Row("next-piece.mp4", with_edits(film(_B), _both([(0.0, 0.8), (0.8, 1.2)])), notes=PIECES, skip=FILTERED),
    Row(
        "pause.mp4",
        with_edits(film(), _both([(0.0, 1.0), (None, 0.4), (1.0, 1.0)])),
        seconds=2.4,
        frames=60,
        flashes=(0.5, 1.9),
        beeps=(0.5, 1.9),
        corners=(),
        notes=PIECES,
        skip=FILTERED,
    ),
    Row(
        "audio-without-middle.mp4",
        with_edits(film(), {"vide": _ALL, "soun": _GAP}),
        beeps=(0.5, 1.1),
        notes=PIECES,
        skip=_SHORT_AUDIO,
    ),
    Row(
        "video-without-middle.mp4",
        with_edits(film(), {"vide": _GAP, "soun": _ALL}),
        frames=None,
        flashes=(0.5, 1.1),
        notes=PIECES,
        skip=FILTERED,
    ),
    Row(
        "delayed-and-trimmed.mp4",
        with_edits(film(), _both([(None, 0.4), (0.0, 1.6)])),
        seconds=1.6,
        frames=40,
        skip=FILTERED,
    ),
    Row(
        "delayed-video.mp4",
        with_edits(film(), {"vide": [(None, 0.4), (0.0, 2.0)], "soun": _ALL}),
        seconds=2.4,
        frames=None,
        flashes=(0.9, 1.9),
        skip=_SHORT_AUDIO | {"concat"},
    ),
    Row(
        "delayed-trimmed-audio.mp4",
        with_edits(film(), {"vide": _ALL, "soun": [(None, 0.4), (0.0, 1.6)]}),
        beeps=(0.9, 1.9),
        skip=FILTERED,
    ),
    Row(
        "one-piece.mp4",
        with_edits(film(), _both(_END)),
        seconds=1.5,
        frames=None,
        flashes=(0.2, 1.2),
        beeps=(0.2, 1.2),
        skip=FILTERED,
        also=frozenset({"upscale"}),
    ),
    Row(
        "one-piece-of-audio.mov",
        with_edits(film(X264, "pcm_s16le"), {"vide": _ALL, "soun": _END}, "mov"),
        beeps=(0.2, 1.2),
        skip=_SHORT_AUDIO,
        also=frozenset({"upscale"}),
    ),
)
