"""How one scene passes into the next."""

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
"""Names that FFmpeg's `xfade` knows; older builds lack the last twelve."""

AudioCurve = Literal["tri", "qsin", "hsin", "esin", "log", "exp", "par", "qua", "cub", "squ", "cbr", "nofade"]
"""Names of FFmpeg's `afade`."""

# What editors call a cross-fade; xfade's own `dissolve` is a grainy one.
_FADE = {"crossfade", "cross_fade", "cross_dissolve", "crossdissolve", "smpte_dissolve", "xfade"}


def _read_type(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("-", "_")
    name = "fade" if name in _FADE else name.replace("_", "")
    if name not in TRANSITIONS and name != "none":
        near = get_close_matches(name, [*TRANSITIONS, "none"], n=1)
        hint = f", did you mean '{near[0]}'?" if near else "; the names are those of FFmpeg's xfade, and 'none'"
        raise ValueError(f"unknown transition '{value}'{hint}")
    return name


class Transition(Model):
    """How a scene passes into the next. Both play at once meanwhile, so it shortens the whole."""

    type: Annotated[str, BeforeValidator(_read_type)] = Field(
        "fade", description="A name of FFmpeg's xfade, or none", examples=["fade", "wipeleft", "circleopen"]
    )
    duration: Seconds = Field(0.5, description="Seconds")
    audio_curve: AudioCurve = Field("tri", description="How the sound passes; a name of FFmpeg's afade")
