"""The fonts that come with Callsheet, so that text looks the same on every machine."""

import hashlib
from functools import cache
from pathlib import Path

FONTS = Path(__file__).with_name("inter")
"""A folder of nothing but font files: the subtitle renderer takes every file in it for one, and loads them all."""

FONTCONFIG = Path(__file__).with_name("fonts.conf")
"""Where FFmpeg looks for what a font lacks: in ours for further scripts, of which it opens only those that a text
needs, then in those of the system."""

FAMILY = "Inter"
"""The family used where none is asked for. What it lacks comes from others, letter by letter."""

_SHAPING = frozenset({".otf", ".ttf", ".conf"})


@cache
def fonts_digest(folder: Path = FONTCONFIG.parent) -> str:
    """Return what identifies the fonts of a folder, wherever it lies: equal digests, equal letters.

    They are read once in the life of the process.
    """
    told = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _SHAPING):
        told.update(f"{path.relative_to(folder)}\0".encode())
        told.update(hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()
