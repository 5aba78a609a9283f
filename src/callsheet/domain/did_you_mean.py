"""Suggestions for misspelled names."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known_names: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` with the closest known name, or an empty text."""
    matches = get_close_matches(name, list(known_names), n=1, cutoff=0.6)
    return f", did you mean '{matches[0]}'?" if matches else ""
