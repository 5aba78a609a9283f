"""Text overlays as lines of ASS scripts."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from callsheet.media.rendering.layers import TextLayer
from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.rendering.schedule import Schedule
from callsheet.media.subtitles.ass import Line, escape_text
from callsheet.media.subtitles.ass_motion import Slide
from callsheet.media.timeline.overlay import Animation, TextOverlay

_SLIDES: dict[Animation, Slide | None] = {
    "none": None,
    "slide_left": "left",
    "slide_right": "right",
    "slide_up": "up",
    "slide_down": "down",
}


def text_layers(overlays: Sequence[OverlayPlacement], schedule: Schedule) -> Iterator[OverlayPlacement | TextLayer]:
    """Yield the overlays from bottom to top, with consecutive texts merged into one text layer."""
    for is_text, group in groupby(overlays, key=lambda placement: isinstance(placement.overlay, TextOverlay)):
        if is_text:
            yield TextLayer(tuple(_line(placement, schedule) for placement in group))
        else:
            yield from group


def _line(placement: OverlayPlacement, schedule: Schedule) -> Line:
    overlay = placement.overlay
    assert isinstance(overlay, TextOverlay)  # noqa: S101 - the caller passes only texts
    return Line(
        schedule.time_of(placement.start),
        schedule.time_of(placement.end),
        escape_text(overlay.text.upper() if overlay.uppercase else overlay.text),
        overlay,
        fade_in=overlay.fade_in if overlay.fade is None else overlay.fade,
        fade_out=overlay.fade_out if overlay.fade is None else overlay.fade,
        offset=(overlay.offset.x, overlay.offset.y),
        opacity=overlay.opacity,
        rotation=overlay.rotation,
        slide_in=_SLIDES[overlay.animation_in],
        slide_out=_SLIDES[overlay.animation_out],
    )
