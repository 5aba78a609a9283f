"""Lossless audio between two FFmpeg runs: 48 kHz, 32-bit float."""

from fractions import Fraction

SAMPLE_RATE = 48_000
"""Hertz."""

LOSSLESS_ARGS = ("-c:a", "pcm_f32le", "-ar", str(SAMPLE_RATE), "-f", "w64")
"""Output options. Float samples keep peaks above full scale; W64 has no size limit of 4 GiB."""


def sample_at(seconds: Fraction) -> int:
    """Return the number of the sample at a time."""
    return round(seconds * SAMPLE_RATE)
