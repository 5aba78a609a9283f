"""The size at which a frame fits into another one that has another shape."""

_TOLERANCE = 0.01
"""Share by which aspect ratios may differ without bars, as in `filters.source_frames`."""

_Size = tuple[int, int]


def fitted_size(size: _Size, pixel_aspect: float, into: _Size, into_pixel_aspect: float) -> _Size:
    """Return the width and height of a frame inside the frame `into`: all of it, or less in one direction.

    A pixel aspect ratio is that of width to height.
    """
    aspect = size[0] / size[1] * pixel_aspect
    wanted = into[0] / into[1] * into_pixel_aspect
    width, height = into
    if aspect < wanted * (1 - _TOLERANCE):
        return max(2, 2 * int(width * aspect / wanted / 2)), height
    if aspect > wanted * (1 + _TOLERANCE):
        return width, max(2, 2 * int(height * wanted / aspect / 2))
    return into
