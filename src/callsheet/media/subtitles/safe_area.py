"""Safe areas: frame regions that players and feeds neither crop nor cover."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SafeArea:
    """Margins of the safe area, as fractions of the frame height (top, bottom) and width (side)."""

    top: float
    bottom: float
    side: float


LANDSCAPE = SafeArea(top=0.05, bottom=0.08, side=0.05)
"""EBU R 95 keeps graphics 5 % away from the edges. Player controls need slightly more at the bottom."""

PORTRAIT = SafeArea(top=0.14, bottom=0.25, side=0.11)
"""Areas that short-video platforms cover, as of 2026: names at the top (Reels: 14 %), the post text at the bottom
(Shorts: 25 %), a column of buttons on the right (TikTok: 120 of 1080 pixels). Both sides use the same margin."""

_PORTRAIT_RATIO = 1.5
"""Minimum height by width of the portrait margins. Feeds show 4:5 posts, and cover nothing."""


def safe_area(width: int, height: int) -> SafeArea:
    """Return the safe area of a frame of `width` by `height` pixels."""
    return PORTRAIT if height >= width * _PORTRAIT_RATIO else LANDSCAPE
