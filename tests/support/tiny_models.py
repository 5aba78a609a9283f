"""Models of ncnn in a few lines, whose output can be computed by hand."""

from pathlib import Path

DOUBLE = """7767517
2 2
Input            in0      0 1 in0
Interp           double   1 1 in0 out0 0=1 1=2.0 2=2.0
"""
"""Repeats each pixel twice in both directions."""

BLEND = """7767517
7 8
Input            img0     0 1 img0
Input            img1     0 1 img1
Input            time     0 1 time
Split            split    1 2 img0 img0a img0b
BinaryOp         minus    2 1 img1 img0a difference 0=1
BinaryOp         times    2 1 difference time part 0=2
BinaryOp         plus     2 1 img0b part out 0=0
"""
"""Mixes two images by the time between them."""


def write_models(folder: Path) -> Path:
    """Write `double` and `blend` to a folder of models, and return it."""
    folder.mkdir(exist_ok=True)
    for name, graph in (("double", DOUBLE), ("blend", BLEND)):
        (folder / f"{name}.param").write_text(graph)
        (folder / f"{name}.bin").write_bytes(b"")
    return folder
