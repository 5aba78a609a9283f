"""Encoding twice: the first pass learns where the bits are needed, the second spends them."""

from collections.abc import Sequence


def with_pass(words: Sequence[str], encoder: str, number: int, log: str) -> list[str]:
    """Return an encoder's words for one of its two passes; `log` is a name in the folder that FFmpeg runs in."""
    if encoder != "libx265":
        return [*words, "-pass", str(number), "-passlogfile", log]
    # It knows nothing of FFmpeg's own options for this.
    place = words.index("-x265-params") + 1
    return [*words[:place], f"{words[place]}:pass={number}:stats={log}", *words[place + 1 :]]
