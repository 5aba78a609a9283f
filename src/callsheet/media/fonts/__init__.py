"""The fonts that come with Callsheet, so that text looks the same on every machine."""

from pathlib import Path

FONTS = Path(__file__).with_name("inter")
"""A folder of nothing but font files: the subtitle renderer takes every file in it for one."""

FONTCONFIG = Path(__file__).with_name("fonts.conf")
"""Where FFmpeg looks for further fonts, for scripts that ours do not cover."""

FAMILY = "Inter"
"""The family used where none is asked for."""
