"""A cut becomes a timeline: its length, and the place of everything in it, stay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from callsheet.domain.errors import Problem, ProblemList
from callsheet.domain.plan_validation import validate_params
from callsheet.media.otio.items import Found, Item, items_of, ours
from callsheet.media.otio.library import library, read_otio
from callsheet.media.otio.times import exact_rate, rate_word, seconds, spelled
from callsheet.media.timeline.timeline import Timeline
from callsheet.media.timeline.transition import TRANSITIONS
from callsheet.media.values import parse_rate

_BLACK = "#000000"
_PLAIN = "SMPTE_Dissolve"
_SIZES = {"width", "height", "resolution", "aspectRatio"}


class OtioRejected(ProblemList):
    """The cut cannot be made into a timeline"""

    code = "cut_refused"


@dataclass(frozen=True, slots=True)
class Imported:
    """A cut as a timeline."""

    timeline: dict[str, Any]
    """The params of a render."""
    notes: tuple[str, ...]
    """What was not carried over, or is not as it was."""


def from_otio(path: Path) -> Imported:
    """Read an .otio, .otioz or .otiod file as a timeline.

    Local media are named by their absolute paths. Transitions of a cut shorten nothing, ours do: the scenes at both
    sides are lengthened by as much as they overlap. Raises NotFound, InvalidOtio when the file cannot be read, OtioRejected
    with everything in it that no timeline can hold, BadParams with what is wrong in what became of it, ConfigurationError
    without the package.
    """
    cut, folder = read_otio(path)
    found = Found([], [])
    importing = _Importing(cut, folder, found)
    timeline = importing.timeline()
    if found.problems:
        raise OtioRejected(found.problems)
    validate_params(timeline, Timeline)
    return Imported(timeline, tuple(dict.fromkeys(found.notes)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """When something is seen, or heard, in frames of the film, and what of it."""

    src: str
    start: int
    end: int
    begins: Fraction
    speed: Fraction
    blends: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Row:
    """A track with its items."""

    track: Any
    items: list[Item]


class _Importing:
    """One cut being read."""

    def __init__(self, cut: Any, folder: Path, found: Found) -> None:
        self._found = found
        self._kept = ours(cut)
        self._rate = _rate_of(cut, self._kept)
        self._output = {"fps": rate_word(self._rate), **(self._kept.get("output") or {})}
        self._video, self._audio = self._rows(cut, folder)
        self._heard: list[_Seen] = []
        marks = sum(len(item.markers) for item in (cut.tracks, *cut.find_children()) if hasattr(item, "markers"))
        if marks:
            found.notes.append(f"markers are left out ({marks})")
        if not self._output.keys() & _SIZES:
            found.notes.append("the cut tells no size for the film; unless its output names one, that of the settings")

    def timeline(self) -> dict[str, Any]:
        """Return what the cut says; problems on the way are added to what was found."""
        if not self._video or not any(item.clip is not None for item in self._video[0].items):
            self._found.problems.append(Problem("tracks", "no_video", "the cut has no video clip"))
            return {}
        self._heard = [self._seen(item) for row in self._audio for item in row.items if item.src is not None]
        scenes = self._scenes()
        above = [{"clips": clips} for row in self._video[1:] if (clips := self._clips(row.items))]
        tracks = [*above, *self._sounds()]
        made = {"scenes": scenes, **({"tracks": tracks} if tracks else {}), "output": self._output}
        return {**self._kept, **made}

    def _rows(self, cut: Any, folder: Path) -> tuple[list[_Row], list[_Row]]:
        """Return the video tracks and the audio tracks, from the bottom to the top."""
        otio, found = library(), self._found
        rows: dict[str, list[_Row]] = {"Video": [], "Audio": []}
        for number, track in enumerate(cut.tracks):
            where = f"tracks.children[{number}]"
            if not isinstance(track, otio.schema.Track) or track.kind not in rows:
                message = f"'{track.name}' is neither a video nor an audio track; flatten it"
                found.problems.append(Problem(where, "nested", message))
            elif not track.enabled:
                found.notes.append(f"{where}: the track '{track.name}' is switched off, and left out")
            else:
                found.notes += [f"{where}: the effect '{each.effect_name}' is left out" for each in track.effects]
                items = items_of(self._trimmed(track, cut, where), where, folder, found)
                rows[track.kind].append(_Row(track, items))
        return rows["Video"], rows["Audio"]

    def _trimmed(self, track: Any, cut: Any, where: str) -> Any:
        otio = library()
        for limit in (track.source_range, cut.tracks.source_range):
            if limit is None:
                continue
            try:
                track = otio.algorithms.track_trimmed_to_range(track, limit)
            except otio.exceptions.OTIOError as error:
                self._found.problems.append(Problem(where, "trimmed", f"the track cannot be trimmed: {error}"))
        return track

    # Pictures

    def _scenes(self) -> list[dict[str, Any]]:
        items = [item for item in self._filled_up() if self._lasts(item)]
        scenes = [self._scene(item) for item in items]
        for number, (item, after) in enumerate(pairwise(items)):
            if item.out is not None and after.into is item.out and (frames := self._blends(after)[0]):
                scenes[number]["transition"] = self._passing(item, frames)
        return scenes

    def _filled_up(self) -> list[Item]:
        """Return the items of the lowest track, with a gap behind them where others go on for longer."""
        items = self._video[0].items
        own, whole = items[-1].end, max(row.items[-1].end for row in self._video if row.items)
        if self._frame(whole) == self._frame(own):
            return items
        return [*items[:-1], replace(items[-1], last=False), Item("", None, own, whole, into=items[-1].out)]

    def _lasts(self, item: Item) -> bool:
        if self._frame(item.end) + self._frame(item.behind) > self._first(item):
            return True
        self._found.notes.append(f"{item.where}: it is shorter than a frame, and left out")
        return False

    def _scene(self, item: Item) -> dict[str, Any]:
        length = self._length(item)
        if item.src is None:
            color = item.color or self._output.get("background") or _BLACK
            return {**self._fades(item), **item.own, "color": color, "duration": length}
        self._tell_shortened(item)
        scene = {**self._fades(item), **_named(item), **item.own, "src": item.src}
        scene |= {**self._trim(item), "duration": length, **_speed(item)}
        return self._left_its_sound(item, scene)

    def _clips(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        following = [*items[1:], None]
        return [
            self._clip(item, after is None or after.clip is None)
            for item, after in zip(items, following, strict=True)
            if item.clip is not None and self._lasts(item)
        ]

    def _clip(self, item: Item, alone: bool) -> dict[str, Any]:
        """Return something that lies over the scenes. One that follows it appears over it: only `alone` it fades."""
        into, out = self._blends(item)
        clip = {**item.own, "start": spelled(self._first(item) / self._rate), "duration": self._length(item)}
        clip |= {"fadeIn": spelled(into / self._rate)} if into else {}
        clip |= {"fadeOut": spelled(out / self._rate)} if out and alone else {}
        if item.color is not None:
            message = "a plain colour can only be a scene, not lie above one"
            self._found.problems.append(Problem(item.where, "colour_above", message))
        if item.src is None:
            return clip
        self._tell_shortened(item)
        return self._left_its_sound(item, {**clip, "src": item.src, **self._trim(item), **_speed(item)})

    def _tell_shortened(self, item: Item) -> None:
        if item.into is None or item.first:
            return
        wanted = seconds(item.into.in_offset)
        if item.ahead < wanted:
            missing = float(wanted - item.ahead)
            self._found.notes.append(
                f"{item.where}: the transition into it is {missing:g} s shorter; its media begins too late"
            )

    def _passing(self, item: Item, frames: int) -> dict[str, Any]:
        kept, kind = ours(item.out), item.out.transition_type
        duration = spelled(frames / self._rate)
        if kept:
            return {**kept, "duration": duration}
        name = kind.lower().replace("_", "")
        known = name if name in TRANSITIONS and kind != _PLAIN else "fade"
        if known == "fade" and kind != _PLAIN:
            told = item.out.name or kind
            self._found.notes.append(f"{item.where}: the transition '{told}' becomes a plain fade")
        return {"type": known, "duration": duration}

    def _fades(self, item: Item) -> dict[str, float]:
        """At the ends of the film there is nothing to pass from or to."""
        fades: dict[str, float] = {}
        if item.first:
            fades["fadeIn"] = spelled(seconds(item.into.out_offset))
        if item.last:
            fades["fadeOut"] = spelled(seconds(item.out.in_offset))
        return fades

    def _trim(self, item: Item) -> dict[str, float]:
        ahead = self._frame(item.ahead) / self._rate
        begins = max(Fraction(0), item.begins - ahead * item.speed)
        return {} if item.still or begins < Fraction(1, 10**6) else {"trimStart": spelled(begins)}

    # Sounds

    def _left_its_sound(self, item: Item, scene: dict[str, Any]) -> dict[str, Any]:
        """Where the cut has audio tracks, pictures are heard only if their own sound is on one of them."""
        if not self._audio or item.still:
            return scene
        scene.pop("mute", None)
        own = self._seen(item)
        heard = next((each for each in self._heard if self._same(each, own)), None)
        if heard is None:
            return {**scene, "mute": True}
        self._heard.remove(heard)
        return scene

    def _same(self, one: _Seen, other: _Seen) -> bool:
        alike = (one.src, one.start, one.end, one.speed, one.blends) == (
            other.src, other.start, other.end, other.speed, other.blends,
        )  # fmt: skip
        return alike and abs(one.begins - other.begins) * self._rate < Fraction(1, 2)

    def _sounds(self) -> list[dict[str, Any]]:
        """Return the audio tracks, without what pictures bring along themselves."""
        left = list(self._heard)
        tracks: list[dict[str, Any]] = []
        for row in self._audio:
            clips = []
            for item in row.items:
                if item.src is not None and (seen := self._seen(item)) in left:
                    left.remove(seen)
                    clips.append(_sound(item))
            if clips and not _is_soundtrack(row, self._kept):
                tracks.append({"type": "audio", "clips": clips})
        return tracks

    def _seen(self, item: Item) -> _Seen:
        first = self._first(item)
        last = self._frame(item.end) + self._frame(item.behind)
        return _Seen(item.src or "", first, last, item.begins, item.speed, self._blends(item))

    # Frames

    def _frame(self, moment: Fraction) -> int:
        return round(moment * self._rate)

    def _first(self, item: Item) -> int:
        """Return its first frame, with what a transition shows of it before its start."""
        return self._frame(item.start) - self._frame(item.ahead)

    def _length(self, item: Item) -> float:
        last = self._frame(item.end) + self._frame(item.behind)
        return spelled((last - self._first(item)) / self._rate)

    def _blends(self, item: Item) -> tuple[int, int]:
        """Return how many frames the transitions at its start and end take."""
        into = out = 0
        if item.into is not None and not item.first:
            into = self._frame(item.start) - self._first(item) + self._frame(seconds(item.into.out_offset))
        if item.out is not None and not item.last:
            out = self._frame(seconds(item.out.in_offset)) + self._frame(item.behind)
        return into, out


def _sound(item: Item) -> dict[str, Any]:
    clip = {**item.own, "src": item.src, "start": spelled(item.start - item.ahead)}
    clip |= {"duration": spelled(item.end + item.behind - item.start + item.ahead)}
    begins = item.begins - item.ahead * item.speed
    clip |= {"trimStart": spelled(begins)} if begins * 10**6 >= 1 else {}
    if item.into is not None:
        clip["fadeIn"] = spelled(item.ahead + seconds(item.into.out_offset))
    if item.out is not None:
        clip["fadeOut"] = spelled(item.behind + seconds(item.out.in_offset))
    return {**clip, **_speed(item)}


def _is_soundtrack(row: _Row, kept: dict[str, Any]) -> bool:
    """Tell whether a track is the soundtrack of a timeline, as we wrote it."""
    starts = [item.start for item in row.items if item.src is not None]
    return "soundtrack" in kept and "soundtrack" in ours(row.track) and starts == [0]


def _speed(item: Item) -> dict[str, float]:
    return {} if item.speed == 1 else {"speed": float(item.speed)}


def _named(item: Item) -> dict[str, str]:
    return {"name": item.clip.name[:200]} if item.clip.name else {}


def _rate_of(cut: Any, kept: dict[str, Any]) -> Fraction:
    """Return the frame rate of a cut: the one that we noted, or that of its clips, the first that a film can have."""
    try:
        return parse_rate(kept["output"]["fps"])
    except (KeyError, TypeError, ValueError):
        rates = (exact_rate(rate) for rate in _rates(cut))
        return next((rate for rate in rates if 10 <= rate <= 240), Fraction(30))


def _rates(cut: Any) -> Iterator[float]:
    if cut.global_start_time is not None:
        yield cut.global_start_time.rate
    for track in cut.video_tracks():
        for child in track:
            if getattr(child, "source_range", None) is not None:
                yield child.source_range.duration.rate
            elif getattr(getattr(child, "media_reference", None), "available_range", None) is not None:
                yield child.media_reference.available_range.duration.rate
