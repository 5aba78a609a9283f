"""Files of which a part is missing or wrong."""

import random
from pathlib import Path

from .clips import Clips, Recipe


def cut_off(share: float, source: Recipe, suffix: str) -> Recipe:
    """A file of which only the first part arrived."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"uncut.{suffix}")
        source(clips, whole)
        content = whole.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return make


def bit_rot(source: Recipe, suffix: str) -> Recipe:
    """A file with some wrong bytes in its middle."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"whole.{suffix}")
        source(clips, whole)
        content = bytearray(whole.read_bytes())
        numbers = random.Random(1)
        for _ in range(4):
            content[numbers.randrange(len(content) // 3, len(content) * 2 // 3)] ^= 0xFF
        path.write_bytes(content)

    return make


def without_start(source: Recipe, suffix: str, share: float) -> Recipe:
    """A recording that was joined late: its first part is missing."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"early.{suffix}")
        source(clips, whole)
        content = whole.read_bytes()
        path.write_bytes(content[int(len(content) * share) :])

    return make


def zeros_inside(source: Recipe, suffix: str, at: float, length: int) -> Recipe:
    """A file with zeros in its middle, as a download that lost a block."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"filled.{suffix}")
        source(clips, whole)
        content = bytearray(whole.read_bytes())
        start = int(len(content) * at)
        content[start : start + length] = bytes(length)
        path.write_bytes(content)

    return make
