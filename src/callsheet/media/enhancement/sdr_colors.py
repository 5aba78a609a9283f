"""Convert HDR and wide-gamut pixels to SDR in BT.709, in floating point."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from callsheet.media.thumbnails.tone_mapping import HLG, PEAK, PQ, SDR_GAMMA, gamut_matrix, linear_light, tone_gain

Pixels = npt.NDArray[np.float32]

_GAIN_STEPS = 1024


def to_bt709(stored: npt.NDArray[Any], transfer: int, primaries: int) -> Pixels:
    """Return pixels from 0 to 1, in SDR with the primaries of BT.709, of stored RGB in 8 or 16 bits.

    `transfer` and `primaries` are those of ITU-T H.273. The last axis is that of red, green and blue.
    """
    light = _light(np.iinfo(stored.dtype).max, transfer)[stored]
    narrow: Pixels = np.maximum(light @ np.array(gamut_matrix(transfer, primaries), np.float32).T, 0)
    if transfer in (PQ, HLG):
        brightest = narrow.max(axis=-1, keepdims=True)
        steps, gains = _gains()
        narrow *= np.interp(brightest, steps, gains).astype(np.float32)
    result: Pixels = np.minimum(narrow, 1) ** np.float32(1 / SDR_GAMMA)
    return result


@cache
def _light(white: int, transfer: int) -> Pixels:
    """Return the linear light of each stored value."""
    return np.array([linear_light(transfer, value / white) for value in range(white + 1)], np.float32)


@cache
def _gains() -> tuple[Pixels, Pixels]:
    # The conversion of primaries may make a component brighter than the peak.
    steps = (np.linspace(0, 1, _GAIN_STEPS, dtype=np.float32) ** 2) * np.float32(2 * PEAK)
    return steps, np.array([tone_gain(float(step)) for step in steps], np.float32)
