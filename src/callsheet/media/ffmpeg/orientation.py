"""How players turn a decoded frame before they show it."""

from typing import NamedTuple

from av.video.frame import VideoFrame


class Orientation(NamedTuple):
    """The frame is first mirrored left to right, then rotated."""

    rotation: int = 0
    """Degrees counterclockwise: 0, 90, 180 or 270."""
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.rotation in (90, 270)


def frame_orientation(frame: VideoFrame, *, mirrored: bool) -> Orientation:
    """Return the orientation of a frame. `mirrored` says whether its display matrix mirrors it.

    PyAV reads the rotation only. It takes the angle from the side that is mirrored, so it is half a turn off then.
    """
    return Orientation((round(frame.rotation) + 180 * mirrored) % 360, mirrored)
