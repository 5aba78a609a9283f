"""The Clips and Gaps of an OpenTimelineIO Track, with the handles that their Transitions need."""

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from callsheet.domain.errors import Problem
from callsheet.media.otio.library import METADATA_KEY, load_otio
from callsheet.media.otio.media_urls import source_from_url
from callsheet.media.otio.times import to_seconds

_ZERO = Fraction(0)
_MIN_SPEED, _MAX_SPEED = 0.1, 20


@dataclass(slots=True)
class ImportReport:
    """Problems and notes that an import collects."""

    problems: list[Problem]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Item:
    """A Clip or Gap between two edit points. Times are seconds of the video, except `media_start`.

    A Transition shows both its neighbours: the clip before it continues after the edit point (tail handle), and the
    clip after it starts before the edit point (head handle).
    """

    path: str
    """Its path in the OTIO file, for messages."""
    clip: Any
    """The OpenTimelineIO Clip; None for a gap."""
    start: Fraction
    end: Fraction
    src: str | None = None
    color: str | None = None
    media_start: Fraction = _ZERO
    """Time in the media, in seconds, that is shown at `start`."""
    speed: Fraction = Fraction(1)
    transition_in: Any = None
    """The Transition at its start."""
    transition_out: Any = None
    """The Transition at its end."""
    opens_timeline: bool = False
    """Whether the Transition at its start has no item before it."""
    closes_timeline: bool = False
    """Whether the Transition at its end has no item after it."""

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata that an export stored in the clip."""
        return {} if self.clip is None else callsheet_metadata(self.clip)

    @property
    def still(self) -> bool:
        """Whether it is an image, judged by its file name."""
        name = urlsplit(self.src or "").path if (self.src or "").startswith("http") else self.src
        kind = mimetypes.guess_type(name or "")[0] or ""
        return kind.startswith("image/") and kind != "image/gif"

    @property
    def head_handle(self) -> Fraction:
        """Seconds that are visible before its start, limited by the start of its media."""
        if self.transition_in is None or self.opens_timeline:
            return _ZERO
        requested = to_seconds(self.transition_in.in_offset)
        if self.src is None or self.still:
            return requested
        return min(requested, max(_ZERO, self.media_start / self.speed))

    @property
    def tail_handle(self) -> Fraction:
        """Seconds that are visible after its end."""
        has_transition = self.transition_out is not None and not self.closes_timeline
        return to_seconds(self.transition_out.out_offset) if has_transition else _ZERO


def callsheet_metadata(item: Any) -> dict[str, Any]:
    """Return the metadata that an export stored in an OpenTimelineIO object."""
    metadata = _to_json(item.metadata.get(METADATA_KEY))
    return metadata if isinstance(metadata, dict) else {}


def _to_json(value: Any) -> Any:
    """Return metadata as plain JSON values. The library has its own container types."""
    if hasattr(value, "items"):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return [_to_json(item) for item in value]


def read_items(track: Any, path: str, folder: Path, report: ImportReport) -> list[Item]:
    """Return the items of a Track, and add problems and notes to the report."""
    return list(_TrackReader(track, path, folder, report).items())


class _TrackReader:
    """Reader of one Track."""

    def __init__(self, track: Any, path: str, folder: Path, report: ImportReport) -> None:
        self._otio = load_otio()
        self._children = list(track)
        self._path = path
        self._folder = folder
        self._report = report

    def items(self) -> Iterator[Item]:
        position = _ZERO
        for number, child in enumerate(self._children):
            if isinstance(child, self._otio.schema.Transition):
                continue
            path = f"{self._path}.children[{number}]"
            length = self._length(child, path)
            item = self._item(child, path, number, position, position + length)
            position += length
            yield item

    def _item(self, child: Any, path: str, number: int, start: Fraction, end: Fraction) -> Item:
        transition_in, transition_out = self._transition(number - 1), self._transition(number + 1)
        transitions = {
            "transition_in": transition_in,
            "transition_out": transition_out,
            "opens_timeline": transition_in is not None and number == 1,
            "closes_timeline": transition_out is not None and number + 2 == len(self._children),
        }
        label = f"'{child.name}'" if child.name else "it"
        if isinstance(child, self._otio.schema.Clip) and not child.enabled:
            self._report.notes.append(f"{path}: {label} is disabled and was left out")
        elif isinstance(child, self._otio.schema.Clip):
            src, color = self._media(child, path, label)
            speed = self._speed(child, path, label)
            return Item(path, child, start, end, src, color, self._media_start(child), speed, **transitions)
        elif not isinstance(child, self._otio.schema.Gap):
            self._add_problem(path, "nested", f"{label} is a {type(child).__name__} inside a track; flatten it")
        return Item(path, None, start, end, **transitions)

    def _transition(self, number: int) -> Any:
        if not 0 <= number < len(self._children):
            return None
        child = self._children[number]
        return child if isinstance(child, self._otio.schema.Transition) else None

    def _length(self, child: Any, path: str) -> Fraction:
        try:
            return to_seconds(child.duration())
        except (self._otio.exceptions.OTIOError, NotImplementedError):
            message = f"the length of '{child.name}' is unknown: it has no source_range, and its media no range"
            self._add_problem(path, "no_length", message)
            return _ZERO

    def _media_start(self, clip: Any) -> Fraction:
        if clip.source_range is None:
            return _ZERO
        available = getattr(clip.media_reference, "available_range", None)
        first = to_seconds(available.start_time) if available is not None else _ZERO
        return to_seconds(clip.source_range.start_time) - first

    def _media(self, clip: Any, path: str, label: str) -> tuple[str | None, str | None]:
        """Return the source or the color of a clip."""
        media, schema = clip.media_reference, self._otio.schema
        if "text" in callsheet_metadata(clip):
            return None, None
        if isinstance(media, schema.GeneratorReference) and media.generator_kind == "SolidColor":
            return None, str(media.parameters.get("color", "#000000"))
        if not isinstance(media, schema.ExternalReference):
            message = f"{label} has no media file, but a {type(media).__name__}; relink it"
            self._add_problem(path, "no_media", message)
            return None, None
        try:
            return source_from_url(media.target_url, self._folder), None
        except ValueError as error:
            self._add_problem(path, "bad_url", f"the media of {label}: {error}")
            return None, None

    def _speed(self, clip: Any, path: str, label: str) -> Fraction:
        speed, schema = 1.0, self._otio.schema
        for effect in clip.effects:
            if isinstance(effect, schema.LinearTimeWarp):
                speed *= effect.time_scalar
            else:
                name = effect.effect_name or effect.name or type(effect).__name__
                self._report.notes.append(f"{path}: the effect '{name}' of {label} was left out")
        if speed == 0:
            self._add_problem(path, "freeze_frame", f"{label} is a freeze frame; export it as an image")
        elif not _MIN_SPEED <= speed <= _MAX_SPEED:
            message = f"the speed of {label} is {speed:g}; {_MIN_SPEED:g} to {_MAX_SPEED:g} are supported"
            self._add_problem(path, "bad_speed", message)
        else:
            return Fraction(speed).limit_denominator(10**6)
        return Fraction(1)

    def _add_problem(self, path: str, code: str, message: str) -> None:
        self._report.problems.append(Problem(path, code, message))
