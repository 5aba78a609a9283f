"""The texts of a film as lines of subtitle scripts."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.overlays import TextLayer
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


def text_layers(layers: Sequence[Layer], plan: Schedule) -> Iterator[Layer | TextLayer]:
    """Yield layers as they are, with texts that lie directly above each other put together."""
    for written, group in groupby(layers, key=lambda layer: isinstance(layer.overlay, TextOverlay)):
        if written:
            yield TextLayer(tuple(_line(layer, plan) for layer in group))
        else:
            yield from group


def _line(layer: Layer, plan: Schedule) -> Line:
    overlay = layer.overlay
    assert isinstance(overlay, TextOverlay)  # noqa: S101 - told by the caller
    return Line(
        plan.time_of(layer.start),
        plan.time_of(layer.end),
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
