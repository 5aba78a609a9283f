"""Restore the faces of an upscaled image: each is turned upright, restored by a model, and put back with soft edges."""

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from callsheet.media.enhancement.face_detection import FaceDetector, Points
from callsheet.media.enhancement.inference import Image, load_model
from callsheet.media.enhancement.requests import Compute, FaceRestoration

_SIDE = 512
"""Pixels of the upright face that the model takes and returns."""
_EDGE = 64
"""Pixels at the sides of the upright face over which it fades out."""
_TEMPLATE = np.array(
    [(192.98, 239.95), (318.90, 240.19), (256.63, 314.02), (201.26, 371.41), (313.09, 371.15)], np.float32
)
"""Places of the points in the upright face: those of the pictures of FFHQ, with which such models are trained."""

Affine = tuple[float, float, float, float, float, float]


class FaceRestorer:
    """Restores faces. `restore` may be called by several threads at once."""

    def __init__(self, faces: FaceRestoration, compute: Compute) -> None:
        """Load both models. Raises ValueError if they cannot be used."""
        self._detector = FaceDetector(faces.detector, compute)
        self._model = load_model(faces.restorer, compute)
        if self._model.inputs != 1:
            message = f"'{faces.restorer.name}' has {self._model.inputs} inputs; a model that restores faces has one"
            raise ValueError(message)
        if self._model.fixed_size not in (None, (_SIDE, _SIDE)):
            shown = "x".join(map(str, self._model.fixed_size or ()))
            message = f"'{faces.restorer.name}' takes images of {shown}; faces are {_SIDE}x{_SIDE}"
            raise ValueError(message)
        self._weight = faces.weight

    def restore(self, original: Image, upscaled: Image, scale: int) -> Image:
        """Return the upscaled image with restored faces. They are found in the original."""
        for points in self._detector.find(original):
            upscaled = self._restore_face(upscaled, points * np.float32(scale))
        return upscaled

    def _restore_face(self, image: Image, points: Points) -> Image:
        turn, shift = _similarity(points, _TEMPLATE)
        inverse = _affine(1 / turn, -shift / turn)
        face = _warp(image, inverse, (_SIDE, _SIDE))
        restored = (self._model.run([face * np.float32(2) - np.float32(1)]) + np.float32(1)) / np.float32(2)
        if restored.shape != face.shape:
            raise ValueError(f"the model that restores faces makes {restored.shape} of an image of {face.shape}")
        left, top, right, bottom = _box(turn, shift, image.shape[2], image.shape[1])
        if left >= right or top >= bottom:
            return image
        # A pixel of the box is a pixel of the image after the box is moved to its place.
        placed = _affine(turn, shift + turn * complex(left, top))
        size = right - left, bottom - top
        back = _warp(np.clip(restored, 0, 1), placed, size)
        mask = _warp(_MASK[np.newaxis], placed, size) * np.float32(self._weight)
        result = image.copy()
        region = result[:, top:bottom, left:right]
        region += (back - region) * np.clip(mask, 0, 1)
        return result


def _similarity(source: Points, target: Points) -> tuple[complex, complex]:
    """Return the turn with scale and the shift that bring one set of points nearest to another.

    Points are complex numbers here: a product is a turn with a scale.
    """
    before, after = (points[:, 0].astype(complex) + 1j * points[:, 1] for points in (source, target))
    centered = before - before.mean()
    turn = complex(np.vdot(centered, after - after.mean()) / max(1e-9, float(np.vdot(centered, centered).real)))
    return turn, complex(after.mean() - turn * before.mean())


def _affine(turn: complex, shift: complex) -> Affine:
    return turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag


def _warp(image: npt.NDArray[np.float32], mapping: Affine, size: tuple[int, int]) -> Image:
    """Return an image of a size, whose pixels come from where the mapping leads. What is outside is black."""
    planes = [
        np.asarray(
            PillowImage.fromarray(plane).transform(
                size, PillowImage.Transform.AFFINE, mapping, PillowImage.Resampling.BICUBIC
            )
        )
        for plane in image
    ]
    return np.stack(planes)


def _box(turn: complex, shift: complex, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the part of an image in which the upright face lies."""
    corners = [(complex(x, y) - shift) / turn for x in (0, _SIDE) for y in (0, _SIDE)]
    columns, rows = [corner.real for corner in corners], [corner.imag for corner in corners]
    left, top = max(0, int(min(columns))), max(0, int(min(rows)))
    return left, top, min(width, int(max(columns)) + 1), min(height, int(max(rows)) + 1)


def _soft_mask() -> npt.NDArray[np.float32]:
    inside = np.minimum(np.arange(_SIDE) + 0.5, _SIDE - np.arange(_SIDE) - 0.5) / _EDGE
    ramp = np.clip(inside, 0, 1).astype(np.float32)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.outer(ramp, ramp).astype(np.float32)


_MASK = _soft_mask()
