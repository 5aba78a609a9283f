"""MP4 files whose edit lists have several entries."""

from ..clips import X264
from ..edit_lists import with_edits
from ..film_recipes import film
from ..table import FILTERED, Row

_B = "libx264 -preset veryfast -bf 3 -g 25"
_GAP = [(0.0, 0.8), (1.2, 0.8)]
_TWICE = [(0.0, 1.0), (0.0, 1.0)]
_LATE = [(None, 0.4), (0.0, 1.6)]
_ALL = [(0.0, 2.0)]


def _both(edits):
    return {"vide": edits, "soun": edits}


ROWS = (
    Row("middle-left-out.mp4", with_edits(film(), _both(_GAP)), seconds=1.6, frames=40, flashes=(0.5, 1.1), beeps=(0.5, 1.1)),
    Row("middle-left-out-b.mp4", with_edits(film(_B), _both(_GAP)), seconds=1.6, frames=40, flashes=(0.5, 1.1), beeps=(0.5, 1.1)),
    Row("repeated.mp4", with_edits(film(), _both(_TWICE))),
    Row("repeated-b.mp4", with_edits(film(_B), _both(_TWICE))),
    Row("repeated-tail.mp4", with_edits(film(), _both([(0.0,1.0),(0.4,1.0)])), flashes=(.5,1.1),beeps=(.5,1.1)),
    Row("swapped.mp4", with_edits(film(), _both([(1.0, 1.0), (0.0, 1.0)]))),
    Row("empty-first.mp4", with_edits(film(), _both(_LATE)), seconds=1.6, frames=40),
    Row("empty-first-video.mp4", with_edits(film(), {"vide": [(None,.4),(0.0,2.0)], "soun": _ALL}), seconds=2.4, frames=None, flashes=(0.9,1.9), skip=frozenset({"concat"})),
    Row("empty-first-audio.mp4", with_edits(film(), {"vide": _ALL, "soun": [(None,.4),(0.0,1.6)]}), beeps=(0.9,1.9)),
    Row("empty-middle.mp4", with_edits(film(), _both([(0.0,1.0),(None,0.4),(1.0,1.0)])), seconds=2.4, frames=60, flashes=(.5,1.9), beeps=(.5,1.9)),
    Row("audio-middle-left-out.mp4", with_edits(film(), {"vide": _ALL, "soun": _GAP}), beeps=(0.5,1.1)),
    Row("video-middle-left-out.mp4", with_edits(film(), {"vide": _GAP, "soun": _ALL}), frames=None, flashes=(0.5,1.1)),
    Row("middle-left-out.mov", with_edits(film(X264, "pcm_s16le"), _both(_GAP)), seconds=1.6, frames=40, flashes=(0.5, 1.1), beeps=(0.5, 1.1)),
)
