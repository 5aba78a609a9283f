"""Import of an OpenTimelineIO Timeline as a render timeline of the same length and positions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from callsheet.domain.errors import Problem, ProblemList
from callsheet.domain.plan_validation import validate_params
from callsheet.media.otio.items import ImportReport, Item, callsheet_metadata, read_items
from callsheet.media.otio.library import load_otio, read_otio
from callsheet.media.otio.times import exact_rate, rate_value, round_seconds, to_seconds
from callsheet.media.timeline.timeline import Timeline
from callsheet.media.timeline.transition import TRANSITIONS
from callsheet.media.values import read_rate

_BLACK = "#000000"
_DISSOLVE = "SMPTE_Dissolve"
_SIZE_FIELDS = {"width", "height", "resolution", "aspectRatio"}


# Defined here because only this optional feature raises it. The docstring is the error message.
class OtioRejected(ProblemList):
    """The OpenTimelineIO file cannot be imported"""

    code = "otio_rejected"


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported timeline."""

    timeline: dict[str, Any]
    """The params of a render."""
    notes: tuple[str, ...]
    """What was left out or changed."""


def from_otio(path: Path) -> Imported:
    """Read an .otio, .otioz or .otiod file as a render timeline.

    Local media get absolute paths. Transitions of OpenTimelineIO do not shorten the video, those of a render do: the
    scenes on both sides are lengthened by their overlap.

    Raises NotFound; InvalidOtio when the file cannot be read; OtioRejected with everything that a render timeline
    cannot represent; BadParams when the resulting timeline is invalid; ConfigurationError if OpenTimelineIO is not
    installed.
    """
    otio_timeline, folder = read_otio(path)
    report = ImportReport([], [])
    timeline = _Importer(otio_timeline, folder, report).timeline()
    if report.problems:
        raise OtioRejected(report.problems)
    validate_params(timeline, Timeline)
    return Imported(timeline, tuple(dict.fromkeys(report.notes)))


@dataclass(frozen=True, slots=True)
class _MediaUse:
    """The part of a media file that an item uses, and its frames in the video."""

    src: str
    start: int
    end: int
    media_start: Fraction
    speed: Fraction
    blends: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _TrackItems:
    """A Track with its items."""

    track: Any
    items: list[Item]


class _Importer:
    """Importer of one OpenTimelineIO Timeline."""

    def __init__(self, otio_timeline: Any, folder: Path, report: ImportReport) -> None:
        self._report = report
        self._metadata = callsheet_metadata(otio_timeline)
        self._rate = _frame_rate(otio_timeline, self._metadata)
        self._output = {"fps": rate_value(self._rate), **(self._metadata.get("output") or {})}
        self._video, self._audio = self._read_tracks(otio_timeline, folder)
        self._audio_uses: list[_MediaUse] = []
        """Audio items that no video item has claimed as its own audio."""
        parts = (otio_timeline.tracks, *otio_timeline.find_children())
        markers = sum(len(part.markers) for part in parts if hasattr(part, "markers"))
        if markers:
            report.notes.append(f"markers were left out ({markers})")
        if not self._output.keys() & _SIZE_FIELDS:
            report.notes.append("the file has no video size; set one in output, or the settings decide")

    def timeline(self) -> dict[str, Any]:
        """Return the render timeline, and add problems and notes to the report."""
        if not self._video or not any(item.clip is not None for item in self._video[0].items):
            self._report.problems.append(Problem("tracks", "no_video", "the timeline has no video clip"))
            return {}
        self._audio_uses = [self._media_use(item) for row in self._audio for item in row.items if item.src is not None]
        scenes = self._scenes()
        video_tracks = [{"clips": clips} for row in self._video[1:] if (clips := self._overlays(row.items))]
        tracks = [*video_tracks, *self._audio_tracks()]
        fields = {"scenes": scenes, **({"tracks": tracks} if tracks else {}), "output": self._output}
        return {**self._metadata, **fields}

    def _read_tracks(self, otio_timeline: Any, folder: Path) -> tuple[list[_TrackItems], list[_TrackItems]]:
        """Return the video Tracks and the audio Tracks, from bottom to top."""
        otio, report = load_otio(), self._report
        rows: dict[str, list[_TrackItems]] = {"Video": [], "Audio": []}
        for number, track in enumerate(otio_timeline.tracks):
            path = f"tracks.children[{number}]"
            if not isinstance(track, otio.schema.Track) or track.kind not in rows:
                message = f"'{track.name}' is neither a video nor an audio track; flatten it"
                report.problems.append(Problem(path, "nested", message))
            elif not track.enabled:
                report.notes.append(f"{path}: the track '{track.name}' is disabled and was left out")
            else:
                report.notes += [f"{path}: the effect '{each.effect_name}' was left out" for each in track.effects]
                items = read_items(self._trim_track(track, otio_timeline, path), path, folder, report)
                rows[track.kind].append(_TrackItems(track, items))
        return rows["Video"], rows["Audio"]

    def _trim_track(self, track: Any, otio_timeline: Any, path: str) -> Any:
        """Apply the source ranges of the Track and of the Stack."""
        otio = load_otio()
        for source_range in (track.source_range, otio_timeline.tracks.source_range):
            if source_range is None:
                continue
            try:
                track = otio.algorithms.track_trimmed_to_range(track, source_range)
            except otio.exceptions.OTIOError as error:
                self._report.problems.append(Problem(path, "trimmed", f"the track cannot be trimmed: {error}"))
        return track

    # Video

    def _scenes(self) -> list[dict[str, Any]]:
        items = [item for item in self._items_to_the_end() if self._is_visible(item)]
        scenes = [self._scene(item) for item in items]
        for number, (item, after) in enumerate(pairwise(items)):
            transition = item.transition_out
            if transition is not None and after.transition_in is transition and (frames := self._blends(after)[0]):
                scenes[number]["transition"] = self._transition(item, frames)
        return scenes

    def _items_to_the_end(self) -> list[Item]:
        """Return the items of the lowest Track, with a final gap if other Tracks are longer."""
        items = self._video[0].items
        end, total = items[-1].end, max(row.items[-1].end for row in self._video if row.items)
        if self._frame(total) == self._frame(end):
            return items
        last = replace(items[-1], closes_timeline=False)
        return [*items[:-1], last, Item("", None, end, total, transition_in=last.transition_out)]

    def _is_visible(self, item: Item) -> bool:
        if self._frame(item.end) + self._frame(item.tail_handle) > self._first_frame(item):
            return True
        self._report.notes.append(f"{item.path}: it is shorter than a frame and was left out")
        return False

    def _scene(self, item: Item) -> dict[str, Any]:
        length = self._length(item)
        if item.src is None:
            color = item.color or self._output.get("background") or _BLACK
            return {**self._fades(item), **item.metadata, "color": color, "duration": length}
        self._note_short_transition(item)
        scene = {**self._fades(item), **_name(item), **item.metadata, "src": item.src}
        scene |= {**self._trim(item), "duration": length, **_speed(item)}
        return self._with_own_audio(item, scene)

    def _overlays(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        following = [*items[1:], None]
        return [
            self._overlay(item, fades_out=after is None or after.clip is None)
            for item, after in zip(items, following, strict=True)
            if item.clip is not None and self._is_visible(item)
        ]

    def _overlay(self, item: Item, *, fades_out: bool) -> dict[str, Any]:
        """Return an overlay. In a transition between two overlays, the second fades in above the first."""
        blend_in, blend_out = self._blends(item)
        clip = {**item.metadata, "start": round_seconds(self._first_frame(item) / self._rate)}
        clip["duration"] = self._length(item)
        clip |= {"fadeIn": round_seconds(blend_in / self._rate)} if blend_in else {}
        clip |= {"fadeOut": round_seconds(blend_out / self._rate)} if blend_out and fades_out else {}
        if item.color is not None:
            message = "a solid color can only be a scene, not an overlay"
            self._report.problems.append(Problem(item.path, "color_overlay", message))
        if item.src is None:
            return clip
        self._note_short_transition(item)
        return self._with_own_audio(item, {**clip, "src": item.src, **self._trim(item), **_speed(item)})

    def _note_short_transition(self, item: Item) -> None:
        if item.transition_in is None or item.opens_timeline:
            return
        requested = to_seconds(item.transition_in.in_offset)
        if item.head_handle < requested:
            missing = float(requested - item.head_handle)
            self._report.notes.append(
                f"{item.path}: the transition into it is {missing:g} s shorter, because its media starts too late"
            )

    def _transition(self, item: Item, frames: int) -> dict[str, Any]:
        metadata, kind = callsheet_metadata(item.transition_out), item.transition_out.transition_type
        duration = round_seconds(frames / self._rate)
        if metadata:
            return {**metadata, "duration": duration}
        name = kind.lower().replace("_", "")
        transition_type = name if name in TRANSITIONS and kind != _DISSOLVE else "fade"
        if transition_type == "fade" and kind != _DISSOLVE:
            label = item.transition_out.name or kind
            self._report.notes.append(f"{item.path}: the transition '{label}' was replaced by a fade")
        return {"type": transition_type, "duration": duration}

    def _fades(self, item: Item) -> dict[str, float]:
        """Return fades for Transitions at the start and end of the Track, which have only one neighbour."""
        fades: dict[str, float] = {}
        if item.opens_timeline:
            fades["fadeIn"] = round_seconds(to_seconds(item.transition_in.out_offset))
        if item.closes_timeline:
            fades["fadeOut"] = round_seconds(to_seconds(item.transition_out.in_offset))
        return fades

    def _trim(self, item: Item) -> dict[str, float]:
        handle = self._frame(item.head_handle) / self._rate
        trim_start = max(Fraction(0), item.media_start - handle * item.speed)
        return {} if item.still or trim_start < Fraction(1, 10**6) else {"trimStart": round_seconds(trim_start)}

    # Audio

    def _with_own_audio(self, item: Item, clip: dict[str, Any]) -> dict[str, Any]:
        """Return a clip that is muted unless an audio Track uses the same part of the same media.

        Without audio Tracks, a clip keeps its audio.
        """
        if not self._audio or item.still:
            return clip
        clip.pop("mute", None)
        video_use = self._media_use(item)
        audio_use = next((use for use in self._audio_uses if self._is_same_use(use, video_use)), None)
        if audio_use is None:
            return {**clip, "mute": True}
        self._audio_uses.remove(audio_use)
        return clip

    def _is_same_use(self, one: _MediaUse, other: _MediaUse) -> bool:
        is_same = (one.src, one.start, one.end, one.speed, one.blends) == (
            other.src, other.start, other.end, other.speed, other.blends,
        )  # fmt: skip
        return is_same and abs(one.media_start - other.media_start) * self._rate < Fraction(1, 2)

    def _audio_tracks(self) -> list[dict[str, Any]]:
        """Return the audio tracks without the audio that belongs to scenes and overlays."""
        remaining = list(self._audio_uses)
        tracks: list[dict[str, Any]] = []
        for row in self._audio:
            clips = []
            for item in row.items:
                if item.src is not None and (use := self._media_use(item)) in remaining:
                    remaining.remove(use)
                    clips.append(_audio_clip(item))
            if clips and not _is_soundtrack(row, self._metadata):
                tracks.append({"type": "audio", "clips": clips})
        return tracks

    def _media_use(self, item: Item) -> _MediaUse:
        start = self._first_frame(item)
        end = self._frame(item.end) + self._frame(item.tail_handle)
        return _MediaUse(item.src or "", start, end, item.media_start, item.speed, self._blends(item))

    # Frames

    def _frame(self, seconds: Fraction) -> int:
        return round(seconds * self._rate)

    def _first_frame(self, item: Item) -> int:
        """Return the first visible frame of an item, including its head handle."""
        return self._frame(item.start) - self._frame(item.head_handle)

    def _length(self, item: Item) -> float:
        end = self._frame(item.end) + self._frame(item.tail_handle)
        return round_seconds((end - self._first_frame(item)) / self._rate)

    def _blends(self, item: Item) -> tuple[int, int]:
        """Return the lengths in frames of the transitions at its start and end."""
        blend_in = blend_out = 0
        if item.transition_in is not None and not item.opens_timeline:
            out_offset = self._frame(to_seconds(item.transition_in.out_offset))
            blend_in = self._frame(item.start) - self._first_frame(item) + out_offset
        if item.transition_out is not None and not item.closes_timeline:
            in_offset = self._frame(to_seconds(item.transition_out.in_offset))
            blend_out = in_offset + self._frame(item.tail_handle)
        return blend_in, blend_out


def _audio_clip(item: Item) -> dict[str, Any]:
    clip = {**item.metadata, "src": item.src, "start": round_seconds(item.start - item.head_handle)}
    clip |= {"duration": round_seconds(item.end + item.tail_handle - item.start + item.head_handle)}
    trim_start = item.media_start - item.head_handle * item.speed
    clip |= {"trimStart": round_seconds(trim_start)} if trim_start * 10**6 >= 1 else {}
    if item.transition_in is not None:
        clip["fadeIn"] = round_seconds(item.head_handle + to_seconds(item.transition_in.out_offset))
    if item.transition_out is not None:
        clip["fadeOut"] = round_seconds(item.tail_handle + to_seconds(item.transition_out.in_offset))
    return {**clip, **_speed(item)}


def _is_soundtrack(row: _TrackItems, metadata: dict[str, Any]) -> bool:
    """Return whether a Track is the unmoved soundtrack of an exported timeline."""
    starts = [item.start for item in row.items if item.src is not None]
    return "soundtrack" in metadata and "soundtrack" in callsheet_metadata(row.track) and starts == [0]


def _speed(item: Item) -> dict[str, float]:
    return {} if item.speed == 1 else {"speed": float(item.speed)}


def _name(item: Item) -> dict[str, str]:
    return {"name": item.clip.name[:200]} if item.clip.name else {}


def _frame_rate(otio_timeline: Any, metadata: dict[str, Any]) -> Fraction:
    """Return the frame rate: from the export metadata, else the first rate of a clip from 10 to 240, else 30."""
    try:
        return read_rate(metadata["output"]["fps"])
    except (KeyError, TypeError, ValueError):
        rates = (exact_rate(rate) for rate in _rates(otio_timeline))
        return next((rate for rate in rates if 10 <= rate <= 240), Fraction(30))


def _rates(otio_timeline: Any) -> Iterator[float]:
    if otio_timeline.global_start_time is not None:
        yield otio_timeline.global_start_time.rate
    for track in otio_timeline.video_tracks():
        for child in track:
            if getattr(child, "source_range", None) is not None:
                yield child.source_range.duration.rate
            elif getattr(getattr(child, "media_reference", None), "available_range", None) is not None:
                yield child.media_reference.available_range.duration.rate
