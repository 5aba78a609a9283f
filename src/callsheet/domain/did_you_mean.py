"""Suggestions for misspelled names."""

from collections.abc import Iterable
from difflib import get_close_matches

_MAX_LENGTH = 100
"""Characters of a name. The comparison of long texts is slow."""
_MAX_COMPARED = 100
"""Known names that are compared: those of the most similar length."""


def did_you_mean(name: str, known_names: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` with the closest known name, or an empty text."""
    if len(name) > _MAX_LENGTH:
        return ""
    by_length = sorted(known_names, key=lambda known: abs(len(known) - len(name)))
    matches = get_close_matches(name, by_length[:_MAX_COMPARED], n=1, cutoff=0.6)
    return f", did you mean '{matches[0]}'?" if matches else ""
