"""Find faces by a model with the outputs of YuNet: for the strides 8, 16 and 32, classes, objects, boxes and points."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from callsheet.media.enhancement.inference import Image, OnnxModel
from callsheet.media.enhancement.requests import Compute, ModelFiles

_STRIDES = (8, 16, 32)
_MIN_SCORE = 0.6
_MAX_OVERLAP = 0.3
"""Of two boxes that share more of their union, the one with the lower score is left out."""
_MAX_FACES = 32
_MAX_SIDE = 640
"""Pixels. Larger frames are reduced for the detector, if it takes images of any size."""

Points = npt.NDArray[np.float32]
"""Five rows of x and y, in pixels: the eyes, the nose, and the corners of the mouth, each from the left."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    score: float
    box: tuple[float, float, float, float]
    points: Points


class FaceDetector:
    """Finds faces in images."""

    def __init__(self, files: ModelFiles, compute: Compute) -> None:
        """Load the model. Raises ValueError if it is no detector of this kind."""
        if files.runtime != "onnx":
            raise ValueError(f"the detector of faces '{files.name}' is not an ONNX file")
        self._model = OnnxModel(files, compute)
        self._name = files.name

    def find(self, image: Image) -> list[Points]:
        """Return the points of each face, the surest first. Raises ValueError if the model has other outputs."""
        data, factor = self._input(image)
        outputs = self._model.run_all([data])
        try:
            found = [each for stride in _STRIDES for each in _decode(outputs, stride, data.shape[-1] // stride)]
        except (KeyError, IndexError, ValueError):
            raise ValueError(f"the outputs of '{self._name}' are not those of YuNet") from None
        return [each.points / np.float32(factor) for each in _without_overlaps(found)]

    def _input(self, image: Image) -> tuple[Image, float]:
        """Return the image as the model takes it, blue first and from 0 to 255, and the factor of its size."""
        _, height, width = image.shape
        if self._model.fixed_size is not None:
            rows, columns = self._model.fixed_size
            factor = min(rows / height, columns / width)
        else:
            factor = min(1.0, _MAX_SIDE / max(height, width))
            rows, columns = (-(-round(side * factor) // 32) * 32 for side in (height, width))
        size = min(columns, max(1, round(width * factor))), min(rows, max(1, round(height * factor)))
        pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
        reduced = PillowImage.fromarray(pixels).resize(size, PillowImage.Resampling.BILINEAR)
        data = np.zeros((3, rows, columns), np.float32)
        data[:, : size[1], : size[0]] = np.asarray(reduced, np.float32)[..., ::-1].transpose(2, 0, 1)
        return data, factor


def _decode(outputs: dict[str, npt.NDArray[Any]], stride: int, columns: int) -> list[_Candidate]:
    classes, objects, boxes, points = (
        np.asarray(outputs[f"{name}_{stride}"], np.float32).reshape(-1, width)
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    )
    scores = np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1))[:, 0]
    found = []
    for index in np.flatnonzero(scores >= _MIN_SCORE):
        cell = np.array((index % columns, index // columns), np.float32)
        middle = (cell + boxes[index, :2]) * stride
        size = np.exp(boxes[index, 2:]) * stride
        left, top = middle - size / 2
        box = float(left), float(top), float(left + size[0]), float(top + size[1])
        found.append(_Candidate(float(scores[index]), box, (points[index].reshape(5, 2) + cell) * np.float32(stride)))
    return found


def _without_overlaps(found: list[_Candidate]) -> list[_Candidate]:
    kept: list[_Candidate] = []
    for each in sorted(found, key=lambda candidate: -candidate.score):
        if len(kept) < _MAX_FACES and all(_overlap(each.box, other.box) <= _MAX_OVERLAP for other in kept):
            kept.append(each)
    return kept


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / union if union > 0 else 0.0
