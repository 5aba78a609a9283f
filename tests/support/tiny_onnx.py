"""ONNX models in a few lines, written without the package onnx: their messages of Protocol Buffers by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Shape = Sequence[int]
_FLOAT = 1


def write_negative(path: Path, side: int) -> Path:
    """Write a model that returns the negative of an image of (1, 3, side, side)."""
    shape = (1, 3, side, side)
    return _write(path, [_node("Neg", ["image"], "out")], [], {"image": shape}, {"out": shape})


def write_detector(path: Path, side: int, faces: Mapping[tuple[int, int, int], Sequence[float]]) -> Path:
    """Write a model with the outputs of YuNet that sees the same faces in each image of (1, 3, side, side).

    `faces` has their places as stride, row and column; the values are the score, then width and height of the box in
    cells, and x and y of the five points in cells from the place.
    """
    nodes, constants, outputs = [], [], {}
    for stride in (8, 16, 32):
        columns = side // stride
        rows = {name: np.zeros((columns**2, width), np.float32) for name, width in _WIDTHS.items()}
        for (at, row, column), (score, width, height, *points) in faces.items():
            if at == stride:
                index = row * columns + column
                rows["cls"][index], rows["obj"][index] = score, score
                rows["bbox"][index] = (0.5, 0.5, np.log(width), np.log(height))
                rows["kps"][index] = points
        for name, values in rows.items():
            output = f"{name}_{stride}"
            constants.append(_tensor(f"{output}_values", values[np.newaxis]))
            nodes.append(_node("Identity", [f"{output}_values"], output))
            outputs[output] = (1, *values.shape)
    return _write(path, nodes, constants, {"input": (1, 3, side, side)}, outputs)


_WIDTHS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def _write(
    path: Path, nodes: list[bytes], constants: list[bytes], inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]
) -> Path:
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"tiny")
    graph += b"".join(_field(5, constant) for constant in constants)
    graph += b"".join(_field(11, _value(name, shape)) for name, shape in inputs.items())
    graph += b"".join(_field(12, _value(name, shape)) for name, shape in outputs.items())
    opset = _field(1, b"") + _number(2, 13)
    path.write_bytes(_number(1, 8) + _field(7, graph) + _field(8, opset))
    return path


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    return b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode()) + _field(4, kind.encode())


def _tensor(name: str, values: np.ndarray) -> bytes:
    dimensions = b"".join(_number(1, length) for length in values.shape)
    return dimensions + _number(2, _FLOAT) + _field(8, name.encode()) + _field(9, values.astype("<f4").tobytes())


def _value(name: str, shape: Shape) -> bytes:
    dimensions = b"".join(_field(1, _number(1, length)) for length in shape)
    tensor = _number(1, _FLOAT) + _field(2, dimensions)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])
