"""The fonts that come with Callsheet, so that text looks the same on every machine."""

from pathlib import Path

FONTS = Path(__file__).parent
"""The folder of font files."""

FONTCONFIG = FONTS / "fonts.conf"
"""Where FFmpeg looks for further fonts, for scripts that ours do not cover."""

FAMILY = "Inter"
"""The family used where none is asked for."""
