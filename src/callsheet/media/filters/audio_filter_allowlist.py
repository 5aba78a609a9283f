"""Allow-list of audio filters that a client may pass in FFmpeg's syntax.

FFmpeg filters can read files and open URLs, so that only these filters are allowed, with plain option values.
"""

import re

_NAMES = (
    "acompressor aecho afade agate alimiter anequalizer aresample asubboost bandpass bandreject bass "
    "compand deesser dynaudnorm equalizer extrastereo firequalizer highpass highshelf loudnorm lowpass "
    "lowshelf pan speechnorm stereotools treble virtualbass volume "
)
_ALLOWED = frozenset(_NAMES.split())
_PLAIN_OPTIONS = re.compile(r"[\w.:=+\-|/ ]*")


def validate_audio_filter(filters: str) -> str:
    """Return the filter chain. Raises ValueError, naming the filter that is not allowed."""
    for part in filter(None, (piece.strip() for piece in filters.split(","))):
        name, _, options = part.partition("=")
        if name.strip() not in _ALLOWED:
            allowed = ", ".join(sorted(_ALLOWED))
            raise ValueError(f"the filter '{name.strip()}' is not allowed here; allowed: {allowed}")
        if not _PLAIN_OPTIONS.fullmatch(options):
            raise ValueError(f"options of '{name.strip()}' may contain only letters, digits and . : = + - | / _ space")
    return filters.strip()
