"""The size of a film, where only a part of it was asked for."""

from fractions import Fraction

from callsheet.media.values import even

SHORT_SIDE = 1080
"""Pixels of the shorter side, where nothing says otherwise."""


def parse_ratio(text: str) -> Fraction:
    """Read `9:16` as width by height. Raises ValueError when it is not of that form."""
    width, colon, height = text.partition(":")
    if not (colon and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(f"'{text}' is not a ratio of width to height, such as 9:16")
    return Fraction(int(width), int(height))


def even_size(width: int | None, height: int | None, ratio: Fraction, short: int = SHORT_SIDE) -> tuple[int, int]:
    """Return width and height, both even; what is None follows from the ratio, or from the shorter side."""
    if width is None and height is None:
        width = short if ratio <= 1 else round(short * ratio)
    if width is None:
        width = round((height or short) * ratio)
    if height is None:
        height = round(width / ratio)
    return even(width, odd_down=True), even(height, odd_down=True)
