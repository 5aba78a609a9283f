"""Text of the outside for people: without what a terminal would obey."""

import re

_CONTROL = re.compile(
    r"\x1b\[[0-?]{0,100}[ -/]{0,10}[@-~]|\x9b[0-?]{0,100}[ -/]{0,10}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,500}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,10}[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
"""Escape sequences (CSI; OSC and other strings; two characters), and control characters except tab and line feed."""


def plain_text(text: str) -> str:
    """Return a text without escape sequences and control characters; tabs and line feeds stay, NUL becomes visible.

    For every text that comes from a server, a provider, a program or a file, and that people will see.
    """
    if text.isprintable():
        return text
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\0", "\N{SYMBOL FOR NULL}"))
