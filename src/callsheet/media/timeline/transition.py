"""Transitions between two scenes."""

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from callsheet.domain.model import Model
from callsheet.media.values import Seconds

_XFADE = (
    "fade fadeblack fadewhite fadegrays fadefast fadeslow dissolve distance radial pixelize hblur zoomin "
    "wipeleft wiperight wipeup wipedown slideleft slideright slideup slidedown smoothleft smoothright "
    "smoothup smoothdown wipetl wipetr wipebl wipebr diagtl diagtr diagbl diagbr circleopen circleclose "
    "circlecrop rectcrop vertopen vertclose horzopen horzclose hlslice hrslice vuslice vdslice squeezeh "
    "squeezev coverleft coverright coverup coverdown revealleft revealright revealup revealdown hlwind "
    "hrwind vuwind vdwind "
)
TRANSITIONS = frozenset(_XFADE.split())
"""Transitions of FFmpeg's `xfade`. Older builds lack the last twelve."""

AudioCurve = Literal["tri", "qsin", "hsin", "esin", "log", "exp", "par", "qua", "cub", "squ", "cbr", "nofade"]
"""Curves of FFmpeg's `afade`."""

# Names of a cross-fade in editing programs. The `dissolve` of xfade is different: it is grainy.
_CROSSFADE_NAMES = {"crossfade", "cross_fade", "cross_dissolve", "crossdissolve", "smpte_dissolve", "xfade"}


def _read_type(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("-", "_")
    name = "fade" if name in _CROSSFADE_NAMES else name.replace("_", "")
    if name not in TRANSITIONS and name != "none":
        near = get_close_matches(name, [*TRANSITIONS, "none"], n=1)
        hint = f", did you mean '{near[0]}'?" if near else "; use a transition of FFmpeg's xfade, or 'none'"
        raise ValueError(f"unknown transition '{value}'{hint}")
    return name


class Transition(Model):
    """Transition into the next scene. Both scenes play during it, so it shortens the video."""

    type: Annotated[str, BeforeValidator(_read_type)] = Field(
        "fade", description="A transition of FFmpeg's xfade, or none", examples=["fade", "wipeleft", "circleopen"]
    )
    duration: Seconds = Field(0.5, description="Seconds")
    audio_curve: AudioCurve = Field("tri", description="Curve of the audio cross-fade; a curve of FFmpeg's afade")
