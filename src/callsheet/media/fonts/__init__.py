"""Bundled fonts, so that text looks the same on every machine."""

import hashlib
from functools import cache
from pathlib import Path

FONTS = Path(__file__).with_name("inter")
"""A folder that contains only font files. libass loads every file in it as a font."""

FONTCONFIG = Path(__file__).with_name("fonts.conf")
"""Fontconfig file for glyphs that a font lacks. The bundled fonts of other scripts come first and are opened only if a
text needs them; the system fonts follow."""

FAMILY = "Inter"
"""Default font family. Missing glyphs come from other fonts."""

_DIGESTED_SUFFIXES = frozenset({".otf", ".ttf", ".conf"})


@cache
def fonts_digest(folder: Path = FONTCONFIG.parent) -> str:
    """Return the SHA-256 digest of the fonts in a folder, independent of its path. Equal digests render equal text.

    The result is cached for the life of the process.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _DIGESTED_SUFFIXES):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
