"""Where text is safe from being cut off, or covered by what players lay over a film."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SafeArea:
    """Shares of the width or height to stay away from each edge."""

    top: float
    bottom: float
    side: float


WIDE = SafeArea(top=0.05, bottom=0.08, side=0.05)
"""EBU R 95 keeps graphics 5 % away from the edges; the controls of players take a little more at the bottom."""

UPRIGHT = SafeArea(top=0.14, bottom=0.25, side=0.11)
"""What short-video platforms cover, as seen in 2026: names on top (Reels: 14 %), the text of the post at the bottom
(Shorts: 25 %), a column of buttons on the right (TikTok: 120 of 1080 pixels), kept free on both sides alike."""

_UPRIGHT_FROM = 1.5
"""Height by width. Posts of 4:5 are shown in feeds, where nothing covers them."""


def safe_area(width: int, height: int) -> SafeArea:
    """Return the safe area that suits the shape of a picture."""
    return UPRIGHT if height >= width * _UPRIGHT_FROM else WIDE
