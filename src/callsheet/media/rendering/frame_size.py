"""The frame size of a video when only some of width, height and aspect ratio are given."""

from fractions import Fraction

from callsheet.media.values import even

DEFAULT_SHORT_SIDE = 1080
"""Default length of the shorter side, in pixels."""


def parse_ratio(text: str) -> Fraction:
    """Parse an aspect ratio such as `9:16` as width by height. Raises ValueError for any other form."""
    width, colon, height = text.partition(":")
    if not (colon and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(f"'{text}' is not a ratio of width to height, such as 9:16")
    return Fraction(int(width), int(height))


def even_size(
    width: int | None, height: int | None, ratio: Fraction, short: int = DEFAULT_SHORT_SIDE
) -> tuple[int, int]:
    """Return width and height in pixels, both even.

    A missing side follows from the other side and the ratio. If both are missing, `short` is the shorter side.
    """
    if width is None and height is None:
        width = short if ratio <= 1 else round(short * ratio)
    if width is None:
        width = round((height or short) * ratio)
    if height is None:
        height = round(width / ratio)
    return even(width, odd_down=True), even(height, odd_down=True)
