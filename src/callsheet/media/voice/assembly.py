"""Joins spoken sentences into one WAV file, with exact pauses between them."""

import array
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_AUDIBLE = 10 ** (-45 / 20)
"""Amplitude relative to the loudest sample of a sentence. What is quieter at its start and end is cut off."""
_WINDOW = 0.005
"""Seconds."""
_MARGIN = 0.03
"""Seconds of quiet audio that are kept before and after a sentence, so that soft consonants are not cut off."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The audio of a sentence, and the pause before it."""

    path: Path
    """A WAV file: 16 bits, one channel. All clips have the same sample rate."""
    pause: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a sentence is in the joined file. Times are in seconds."""

    start: float
    """Start of its audio."""
    end: float
    cut: float
    """How much was cut off at the start of its file: time t of the file is t - cut + start of the joined file."""


def join_clips(clips: Sequence[Clip], output: Path) -> list[Placement]:
    """Write the clips with their pauses to a WAV file, and return where they are. Clips are read one at a time."""
    placements: list[Placement] = []
    at = 0
    with wave.open(str(output), "wb") as joined:
        for clip in clips:
            rate, samples = _read(clip.path)
            if not placements:
                joined.setparams((1, 2, rate, 0, "NONE", ""))
            first, last = _audible_range(samples, rate)
            pause = round(clip.pause * rate) if placements else 0
            joined.writeframesraw(bytes(2 * pause))
            joined.writeframesraw(_little_endian(samples[first:last]))
            start = at + pause
            at = start + last - first
            placements.append(Placement(start / rate, at / rate, first / rate))
    return placements


def _read(path: Path) -> tuple[int, "array.array[int]"]:
    with wave.open(str(path), "rb") as file:
        samples = array.array("h", file.readframes(file.getnframes()))
        rate = file.getframerate()
    if sys.byteorder == "big":
        samples.byteswap()
    return rate, samples


def _little_endian(samples: "array.array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _audible_range(samples: "array.array[int]", rate: int) -> tuple[int, int]:
    """Return the first and the last sample to keep: the audible ones, with a margin."""
    window = max(1, round(_WINDOW * rate))
    peaks = [max(map(abs, samples[start : start + window])) for start in range(0, len(samples), window)]
    threshold = _AUDIBLE * max(peaks, default=0)
    audible = [number for number, peak in enumerate(peaks) if peak > threshold]
    if not audible:
        return 0, len(samples)
    margin = round(_MARGIN * rate)
    return max(0, audible[0] * window - margin), min(len(samples), (audible[-1] + 1) * window + margin)
