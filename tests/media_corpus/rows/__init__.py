"""The rows of the corpus, by what is odd about their files."""

from ..table import Row
from . import (
    changes,
    clocks,
    colors,
    containers,
    damage,
    edits,
    interlacing,
    lengths,
    picture_changes,
    recordings,
    sounds,
    streams,
    timing,
)

ROWS: tuple[Row, ...] = (
    *containers.ROWS,
    *sounds.ROWS,
    *lengths.ROWS,
    *clocks.ROWS,
    *changes.ROWS,
    *interlacing.ROWS,
    *streams.ROWS,
    *colors.ROWS,
    *timing.ROWS,
    *damage.ROWS,
    *edits.ROWS,
    *recordings.ROWS,
    *picture_changes.ROWS,
)
