"""Parse audio filters in FFmpeg's syntax, as a client writes them, and write them again from the parsed values."""

import re
from dataclasses import dataclass

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.media.ffmpeg.filter_graph import escape
from callsheet.media.filters.audio_filter_allowlist import ALLOWED_AUDIO_FILTERS, FilterOption

_NAMED = re.compile(r"([\w-]{1,40})=(.*)", re.ASCII | re.DOTALL)
_SYNTAX = re.compile(r"[\\'\[\];\0\r\n]")
_MAX_FILTERS = 32


@dataclass(frozen=True, slots=True)
class AudioFilter:
    """One filter with its values, which are safe to write."""

    name: str
    options: dict[str, str]

    def __str__(self) -> str:
        """Return the filter in FFmpeg's syntax."""
        options = ":".join(f"{name}={escape(value)}" for name, value in self.options.items())
        return f"{self.name}={options}" if options else self.name


def validate_audio_filter(text: str) -> str:
    """Return a chain of audio filters, written again from its parsed values.

    Example:
        >>> validate_audio_filter("highpass=80, volume=-6dB")
        'highpass=frequency=80,volume=volume=0.501187234'

    Raises:
        ValueError: Names every filter, option and value that is not allowed, and what is.
    """
    return ",".join(str(audio_filter) for audio_filter in parse_audio_filters(text))


def parse_audio_filters(text: str) -> list[AudioFilter]:
    """Parse a chain of audio filters, separated by commas. Raises as `validate_audio_filter` does."""
    if (found := _SYNTAX.search(text)) is not None:
        raise ValueError(
            f"the character {found[0]!r} is not allowed: quotes, labels and further chains are unsupported"
        )
    parts = [part for part in text.split(",") if part.strip()]
    if len(parts) > _MAX_FILTERS:
        raise ValueError(f"{len(parts)} filters are given, at most {_MAX_FILTERS} are allowed")
    problems: list[str] = []
    filters = [_parse_filter(part, problems) for part in parts]
    if problems:
        raise ValueError("; ".join(problems))
    return filters


def _parse_filter(text: str, problems: list[str]) -> AudioFilter:
    name, _, arguments = (part.strip() for part in text.partition("="))
    options = ALLOWED_AUDIO_FILTERS.get(name)
    if options is None:
        hint = did_you_mean(name[:40], ALLOWED_AUDIO_FILTERS) or ";"
        problems.append(f"the filter '{name[:40]}' is not allowed{hint} allowed: {', '.join(ALLOWED_AUDIO_FILTERS)}")
        return AudioFilter(name, {})
    return AudioFilter(name, _parse_options(name, options, arguments, problems))


def _parse_options(name: str, options: tuple[FilterOption, ...], text: str, problems: list[str]) -> dict[str, str]:
    """Parse `value:value:name=value`: values without names come first, in the order of the options."""
    by_name = {alias: option for option in options for alias in option.names}
    values: dict[str, str] = {}
    unnamed = iter(options)
    for piece in text.split(":") if text else ():
        match = _NAMED.fullmatch(piece.strip())
        if match is None:
            option = next(unnamed, None)
            key, value = (option.names[0] if option is not None else "", piece)
        else:
            key, value = match[1], match[2]
            option = by_name.get(key)
            unnamed = iter(())
        if option is None:
            problems.append(_unknown_option(name, key, piece, by_name))
            continue
        try:
            values[key] = option.type(value.strip())
        except ValueError as error:
            problems.append(f"{name}: '{value.strip()[:80]}' is no valid value of '{key}'; {error}")
    return values


def _unknown_option(name: str, key: str, piece: str, known: dict[str, FilterOption]) -> str:
    if not key:
        return f"{name}: the value '{piece.strip()[:80]}' has no option"
    hint = did_you_mean(key, known) or ";"
    return f"{name}: the option '{key}' is not allowed{hint} allowed: {', '.join(known)}"
