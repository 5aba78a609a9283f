"""The fonts that come with Callsheet, so that text looks the same on every machine."""

from pathlib import Path

FONTS = Path(__file__).with_name("inter")
"""A folder of nothing but font files: the subtitle renderer takes every file in it for one, and loads them all."""

FONTCONFIG = Path(__file__).with_name("fonts.conf")
"""Where FFmpeg looks for what a font lacks: in ours for further scripts, of which it opens only those that a text
needs, then in those of the system."""

FAMILY = "Inter"
"""The family used where none is asked for. What it lacks comes from others, letter by letter."""
