"""A track of a cut as a row of items, with what the transitions beside them take."""

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from callsheet.domain.errors import Problem
from callsheet.media.otio.library import OURS, library
from callsheet.media.otio.places import source_of
from callsheet.media.otio.times import seconds

_ZERO = Fraction(0)
_SLOWEST, _FASTEST = 0.1, 20


@dataclass(slots=True)
class Found:
    """What was found on the way that cannot be carried over."""

    problems: list[Problem]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Item:
    """A clip or a gap between two cuts. Times are seconds of the film, except `begins`.

    With a transition, both its neighbours are seen: the one before it goes on behind the cut, the one after it comes
    in ahead of the cut.
    """

    where: str
    clip: Any
    """None for a gap."""
    start: Fraction
    end: Fraction
    src: str | None = None
    color: str | None = None
    begins: Fraction = _ZERO
    """Which second of its media is seen at `start`."""
    speed: Fraction = Fraction(1)
    into: Any = None
    """The transition at its start."""
    out: Any = None
    """The transition at its end."""
    first: bool = False
    last: bool = False

    @property
    def own(self) -> dict[str, Any]:
        """What we said of the clip when we wrote it."""
        return {} if self.clip is None else ours(self.clip)

    @property
    def still(self) -> bool:
        """Whether it is a picture, by the name of its file."""
        name = urlsplit(self.src or "").path if (self.src or "").startswith("http") else self.src
        kind = mimetypes.guess_type(name or "")[0] or ""
        return kind.startswith("image/") and kind != "image/gif"

    @property
    def ahead(self) -> Fraction:
        """How long before its start it is to be seen: as its media allows, and nothing before the film."""
        if self.into is None or self.first:
            return _ZERO
        wanted = seconds(self.into.in_offset)
        if self.src is None or self.still:
            return wanted
        return min(wanted, max(_ZERO, self.begins / self.speed))

    @property
    def behind(self) -> Fraction:
        """How long after its end it is to be seen."""
        return _ZERO if self.out is None or self.last else seconds(self.out.out_offset)


def ours(thing: Any) -> dict[str, Any]:
    """Return what we keep in the metadata of a part of a cut."""
    kept = _plain(thing.metadata.get(OURS))
    return kept if isinstance(kept, dict) else {}


def _plain(value: Any) -> Any:
    """Return metadata as what JSON knows; the library has containers of its own."""
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return [_plain(item) for item in value]


def items_of(track: Any, where: str, folder: Path, found: Found) -> list[Item]:
    """Return the items of a track, and add to what was found."""
    reading = _Reading(track, where, folder, found)
    return list(reading.items())


class _Reading:
    """One track being read."""

    def __init__(self, track: Any, where: str, folder: Path, found: Found) -> None:
        self._otio = library()
        self._children = list(track)
        self._where = where
        self._folder = folder
        self._found = found

    def items(self) -> Iterator[Item]:
        at = _ZERO
        for number, child in enumerate(self._children):
            if isinstance(child, self._otio.schema.Transition):
                continue
            where = f"{self._where}.children[{number}]"
            length = self._length(child, where)
            item = self._item(child, where, number, at, at + length)
            at += length
            yield item

    def _item(self, child: Any, where: str, number: int, start: Fraction, end: Fraction) -> Item:
        into, out = self._transition(number - 1), self._transition(number + 1)
        joints = {
            "into": into,
            "out": out,
            "first": into is not None and number == 1,
            "last": out is not None and number + 2 == len(self._children),
        }
        named = f"'{child.name}'" if child.name else "it"
        if isinstance(child, self._otio.schema.Clip) and not child.enabled:
            self._found.notes.append(f"{where}: {named} is switched off, and left out")
        elif isinstance(child, self._otio.schema.Clip):
            src, color = self._media(child, where, named)
            speed = self._speed(child, where, named)
            begins = self._begins(child)
            return Item(where, child, start, end, src, color, begins, speed, **joints)
        elif not isinstance(child, self._otio.schema.Gap):
            self._problem(where, "nested", f"{named} is a {type(child).__name__} inside a track; flatten it")
        return Item(where, None, start, end, **joints)

    def _transition(self, number: int) -> Any:
        if not 0 <= number < len(self._children):
            return None
        found = self._children[number]
        return found if isinstance(found, self._otio.schema.Transition) else None

    def _length(self, child: Any, where: str) -> Fraction:
        try:
            return seconds(child.duration())
        except (self._otio.exceptions.OTIOError, NotImplementedError):
            message = f"the length of '{child.name}' is not told: it has no source_range, and its media no range"
            self._problem(where, "no_length", message)
            return _ZERO

    def _begins(self, clip: Any) -> Fraction:
        if clip.source_range is None:
            return _ZERO
        available = getattr(clip.media_reference, "available_range", None)
        base = seconds(available.start_time) if available is not None else _ZERO
        return seconds(clip.source_range.start_time) - base

    def _media(self, clip: Any, where: str, named: str) -> tuple[str | None, str | None]:
        """Return the source or the colour of a clip."""
        media, schema = clip.media_reference, self._otio.schema
        if "text" in ours(clip):
            return None, None
        if isinstance(media, schema.GeneratorReference) and media.generator_kind == "SolidColor":
            return None, str(media.parameters.get("color", "#000000"))
        if not isinstance(media, schema.ExternalReference):
            message = f"{named} has no media file, but a {type(media).__name__}; link it anew"
            self._problem(where, "no_media", message)
            return None, None
        try:
            return source_of(media.target_url, self._folder), None
        except ValueError as error:
            self._problem(where, "bad_url", f"the media of {named}: {error}")
            return None, None

    def _speed(self, clip: Any, where: str, named: str) -> Fraction:
        speed, schema = 1.0, self._otio.schema
        for effect in clip.effects:
            if isinstance(effect, schema.LinearTimeWarp):
                speed *= effect.time_scalar
            else:
                name = effect.effect_name or effect.name or type(effect).__name__
                self._found.notes.append(f"{where}: the effect '{name}' of {named} is left out")
        if speed == 0:
            self._problem(where, "freeze_frame", f"{named} is a frozen frame; export it as a picture")
        elif not _SLOWEST <= speed <= _FASTEST:
            message = f"{named} plays at {speed:g} times its speed; {_SLOWEST:g} to {_FASTEST:g} are possible"
            self._problem(where, "bad_speed", message)
        else:
            return Fraction(speed).limit_denominator(10**6)
        return Fraction(1)

    def _problem(self, where: str, code: str, message: str) -> None:
        self._found.problems.append(Problem(where, code, message))
