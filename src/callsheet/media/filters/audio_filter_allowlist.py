"""Sound filters that a client may ask for by FFmpeg's own words.

FFmpeg's filters can read files and open addresses, so only these, with plain values, are let through.
"""

import re

_NAMES = (
    "acompressor aecho afade agate alimiter anequalizer aresample asubboost bandpass bandreject bass "
    "compand deesser dynaudnorm equalizer extrastereo firequalizer highpass highshelf loudnorm lowpass "
    "lowshelf pan speechnorm stereotools treble virtualbass volume "
)
_ALLOWED = frozenset(_NAMES.split())
_PLAIN = re.compile(r"[\w.:=+\-|/ ]*")


def validate_audio_filter(filters: str) -> str:
    """Return the chain of filters. Raises ValueError naming the filter that is not allowed."""
    for part in filter(None, (piece.strip() for piece in filters.split(","))):
        name, _, options = part.partition("=")
        if name.strip() not in _ALLOWED:
            allowed = ", ".join(sorted(_ALLOWED))
            raise ValueError(f"the filter '{name.strip()}' is not allowed here; allowed: {allowed}")
        if not _PLAIN.fullmatch(options):
            raise ValueError(f"the options of '{name.strip()}' may hold letters, digits and . : = + - | / only")
    return filters.strip()
