"""A timeline becomes a cut, with what the cut has no words for in its metadata."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.media.otio.library import OURS, library
from callsheet.media.otio.places import url_of
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import audio_mix
from callsheet.media.rendering.audio_mix import AudioPlacement
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.schedule import Schedule, Shot
from callsheet.media.timeline.overlay import PictureOverlay, TextOverlay
from callsheet.media.timeline.scene import Scene
from callsheet.media.timeline.timeline import Timeline, VideoTrack

_DISSOLVE = "SMPTE_Dissolve"
_CUSTOM = "Custom_Transition"
_IN_THE_CUT = {"src", "trim_start", "duration", "speed", "start"}
_OF_SCENES = {"name", "color", "trim_end", "transition"}
_SEEN_ELSEWHERE = {"scenes", "tracks", "audio_clips"}


@dataclass(frozen=True, slots=True)
class Exported:
    """A timeline as a cut."""

    timeline: Any
    """A timeline of the OpenTimelineIO package."""
    notes: tuple[str, ...]
    """What other programs do not see of it."""


def to_otio(
    timeline: Timeline,
    footage: Mapping[str, MediaInfo],
    plan: Schedule,
    layers: Sequence[Layer],
    *,
    name: str,
    folder: Path,
) -> Exported:
    """Return a timeline as a cut of the same length, in which everything has the same place.

    `footage` is what was found in the files, by the names that `Timeline.media` gives; `layers` are what lies over
    the scenes. Relative paths start from `folder`. Raises ConfigurationError without the package.
    """
    exporting = _Exporting(timeline, footage, plan, folder)
    return Exported(exporting.cut(name, layers), tuple(_notes(timeline)))


class _Exporting:
    """One timeline being written."""

    def __init__(self, timeline: Timeline, footage: Mapping[str, MediaInfo], plan: Schedule, folder: Path) -> None:
        self._otio = library()
        self._timeline = timeline
        self._footage = footage
        self._plan = plan
        self._folder = folder

    def cut(self, name: str, layers: Sequence[Layer]) -> Any:
        """Return the whole."""
        schema = self._otio.schema
        cut = schema.Timeline(name)
        cut.metadata[OURS] = self._kept()
        rows = [_row(group) for group in self._placed(layers)]
        above = [row for group in rows for row in group]
        cut.tracks.extend(
            [
                self._track("Scenes", "Video", self._scenes()),
                *(self._track(f"Above {n}", "Video", self._above(row)) for n, row in enumerate(above, 1)),
                *self._scene_sounds(),
                *self._layer_sounds(above),
                *self._sounds(),
            ]
        )
        return cut

    def _kept(self) -> dict[str, Any]:
        told = self._from_anywhere(
            self._timeline.model_dump(
                mode="json", by_alias=True, exclude_unset=True, exclude={*_SEEN_ELSEWHERE, "spread"}
            )
        )
        return {**told, "output": {**told.get("output", {}), "fps": told.get("output", {}).get("fps", 30)}}

    # Scenes

    def _scenes(self, *, heard: bool = False) -> list[Any]:
        """Return the scenes with their transitions; or only those that are heard, with gaps for the others."""
        row: list[Any] = []
        for number, shot in enumerate(self._plan.shots):
            before = self._plan.shots[number - 1] if number else None
            if shot.blend_in and before is not None and (not heard or shot.sounds or before.sounds):
                row.append(self._transition(before, shot.blend_in, heard=heard))
            row.append(self._scene(shot, heard=heard))
        return row

    def _scene(self, shot: Shot, *, heard: bool) -> Any:
        schema = self._otio.schema
        early, late = _halves(shot.blend_in)[0], _halves(shot.blend_out)[1]
        length = shot.frames - early - late
        if self._is_gap(shot) or (heard and not shot.sounds):
            return schema.Gap(source_range=self._range(Fraction(0), length))
        scene = shot.scene
        begins = Fraction(scene.trim_start) + early * Fraction(scene.speed) / self._plan.rate
        clip = schema.Clip(
            scene.name or _name_of(scene.src, "Colour"),
            self._media(scene, shot.footage),
            self._range(begins, length),
        )
        if not heard:
            clip.metadata[OURS] = self._from_anywhere(_unsaid(scene))
        return self._sped(clip, scene.speed)

    def _is_gap(self, shot: Shot) -> bool:
        return shot.scene is not self._timeline.scenes[shot.number]

    def _transition(self, before: Shot, frames: int, *, heard: bool) -> Any:
        passing = before.scene.passing
        assert passing is not None  # noqa: S101 - scenes overlap only in a transition
        early, late = _halves(frames)
        rational = self._otio.opentime.RationalTime
        rate = float(self._plan.rate)
        return self._otio.schema.Transition(
            name=passing.type,
            transition_type=_DISSOLVE if heard or passing.type == "fade" else _CUSTOM,
            in_offset=rational(early, rate),
            out_offset=rational(late, rate),
            metadata={OURS: {"type": passing.type, "audioCurve": passing.audio_curve}},
        )

    # What lies above

    def _placed(self, layers: Sequence[Layer]) -> Iterator[list[Layer]]:
        by_name = {layer.where: layer for layer in layers}
        for number, track in enumerate(self._timeline.tracks):
            if isinstance(track, VideoTrack):
                yield [by_name[f"tracks[{number}].clips[{n}]"] for n in range(len(track.clips))]

    def _above(self, row: Sequence[Layer], *, heard: bool = False) -> list[Any]:
        items: list[Any] = []
        at = 0
        for layer in row:
            if layer.start > at:
                items.append(self._otio.schema.Gap(source_range=self._range(Fraction(0), layer.start - at)))
            sounds = not heard or layer.sounds
            items.append(
                self._layer(layer, heard=heard)
                if sounds
                else self._otio.schema.Gap(source_range=self._range(Fraction(0), layer.frames))
            )
            at = layer.end
        return items

    def _layer(self, layer: Layer, *, heard: bool) -> Any:
        overlay, schema = layer.overlay, self._otio.schema
        if isinstance(overlay, TextOverlay):
            media = schema.GeneratorReference(name="text", generator_kind="callsheet.text")
            clip = schema.Clip(overlay.text[:80], media, self._range(Fraction(0), layer.frames))
            clip.metadata[OURS] = _unsaid(overlay)
            return clip
        clip = schema.Clip(
            _name_of(overlay.src, ""),
            self._external(overlay.src, layer.footage),
            self._range(Fraction(overlay.trim_start), layer.frames),
        )
        if not heard:
            clip.metadata[OURS] = _unsaid(overlay)
        return self._sped(clip, overlay.speed)

    # Sounds

    def _scene_sounds(self) -> Iterator[Any]:
        if any(shot.sounds for shot in self._plan.shots):
            yield self._track("Sound of the scenes", "Audio", self._scenes(heard=True))

    def _layer_sounds(self, above: Sequence[Sequence[Layer]]) -> Iterator[Any]:
        for number, row in enumerate(above, 1):
            if any(layer.sounds for layer in row):
                yield self._track(f"Sound above {number}", "Audio", self._above(row, heard=True))

    def _sounds(self) -> Iterator[Any]:
        sources = {self._footage[where].path: source for where, source in self._timeline.media()}
        alone = self._timeline.model_copy(update={"soundtrack": None})
        heard = audio_mix.collect_audio(alone, self._footage, [], self._plan)
        for number, row in enumerate(_side_by_side(heard), 1):
            yield self._track(f"Sound {number}", "Audio", self._heard(row, sources))
        if self._timeline.soundtrack is not None:
            under = self._timeline.model_copy(update={"tracks": [], "audio_clips": []})
            row = audio_mix.collect_audio(under, self._footage, [], self._plan)
            track = self._track("Soundtrack", "Audio", self._heard(row, sources))
            track.metadata[OURS] = {"soundtrack": True}
            yield track

    def _heard(self, row: Sequence[AudioPlacement], sources: Mapping[Path, MediaSource]) -> list[Any]:
        """Return sounds to the sample; they need not begin with a frame."""
        schema = self._otio.schema
        items: list[Any] = []
        at = 0
        for each in row:
            if each.start > at:
                items.append(schema.Gap(source_range=self._range(Fraction(0), each.start - at, audio_mix.RATE)))
            source = sources[each.path]
            begins = Fraction(each.trim_start)
            media = self._external(source, None)
            clip = schema.Clip(_name_of(source, ""), media, self._range(begins, each.length, audio_mix.RATE))
            clip.metadata[OURS] = _unsaid_of(each)
            items.append(self._sped(clip, each.speed))
            at = each.end
        return items

    # Parts

    def _from_anywhere(self, told: Any) -> Any:
        """Return what is kept in the metadata with sources that mean the same in every folder."""
        if isinstance(told, list):
            return [self._from_anywhere(each) for each in told]
        if not isinstance(told, dict):
            return told
        return {
            key: self._placed_source(each) if key == "src" else self._from_anywhere(each) for key, each in told.items()
        }

    def _placed_source(self, told: Any) -> Any:
        source = MediaSource.model_validate(told)
        return str((self._folder / str(told)).resolve()) if source.kind is SourceKind.PATH else told

    def _track(self, name: str, kind: str, items: Sequence[Any]) -> Any:
        return self._otio.schema.Track(name, children=list(items), kind=kind)

    def _range(self, begins: Fraction, length: int, rate: int | Fraction | None = None) -> Any:
        """Return a range of so many frames, or samples, from a second on."""
        rate = self._plan.rate if rate is None else rate
        time = self._otio.opentime
        return time.TimeRange(
            time.RationalTime(float(begins * rate), float(rate)), time.RationalTime(length, float(rate))
        )

    def _media(self, scene: Scene, footage: MediaInfo | None) -> Any:
        if scene.src is not None:
            return self._external(scene.src, footage)
        return self._otio.schema.GeneratorReference(
            name="colour", generator_kind="SolidColor", parameters={"color": scene.color}
        )

    def _external(self, source: MediaSource, footage: MediaInfo | None) -> Any:
        available = None
        if footage is not None and not footage.still:
            available = self._range(Fraction(0), round(Fraction(footage.length) * self._plan.rate))
        return self._otio.schema.ExternalReference(url_of(source, self._folder), available)

    def _sped(self, clip: Any, speed: float) -> Any:
        if speed != 1:
            clip.effects.append(self._otio.schema.LinearTimeWarp(name="speed", time_scalar=speed))
        return clip


def _halves(frames: int) -> tuple[int, int]:
    """Return how much of a transition lies before the cut, and how much after it."""
    return frames // 2, frames - frames // 2


def _unsaid(part: Scene | PictureOverlay | TextOverlay) -> dict[str, Any]:
    """Return what a cut does not say of a part by itself."""
    said = _IN_THE_CUT | (_OF_SCENES if isinstance(part, Scene) else set())
    told: dict[str, Any] = part.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=said)
    return told


def _unsaid_of(heard: AudioPlacement) -> dict[str, Any]:
    told: dict[str, Any] = {"volume": heard.volume, "fadeIn": heard.fade_in, "fadeOut": heard.fade_out}
    told |= {"loop": heard.loop, "duck": heard.duck.model_dump(by_alias=True) if heard.duck else None}
    usual = {"volume": 1.0, "fadeIn": 0.0, "fadeOut": 0.0, "loop": False, "duck": None}
    return {key: value for key, value in told.items() if value != usual[key]}


def _name_of(source: MediaSource | None, otherwise: str) -> str:
    return Path(source.text).name if source is not None else otherwise


def _row(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Spread what lies over each other on rows, so that later ones stay on top."""
    rows: list[list[Layer]] = []
    for layer in layers:
        below = [n for n, row in enumerate(rows) if any(o.start < layer.end and layer.start < o.end for o in row)]
        lowest = max(below, default=-1) + 1
        rows += [[]] if lowest == len(rows) else []
        rows[lowest].append(layer)
    return [sorted(row, key=lambda layer: layer.start) for row in rows]


def _side_by_side(sounds: Sequence[AudioPlacement]) -> list[list[AudioPlacement]]:
    """Spread sounds on as few rows as they need."""
    rows: list[list[AudioPlacement]] = []
    for each in sorted(sounds, key=lambda heard: heard.start):
        free = next((row for row in rows if row[-1].end <= each.start), None)
        if free is None:
            rows.append([each])
        else:
            free.append(each)
    return rows


def _notes(timeline: Timeline) -> Iterator[str]:
    scenes = timeline.scenes
    told = {
        "texts": any(scene.title or _texts(scene.overlays) for scene in scenes) or _texts(timeline.overlays),
        "overlays": timeline.overlays or any(scene.overlays for scene in scenes),
        "captions": timeline.captions,
        "fits, crops and filters": any(scene.fit or scene.crop or scene.filters for scene in scenes),
        "camera movements": any(scene.motion for scene in scenes),
        "volumes and fades": any(scene.volume != 1 or scene.fade_in or scene.fade_out for scene in scenes),
        "loudness": timeline.loudness is not None,
        "the size and coding of the film": timeline.output.model_fields_set - {"fps"},
    }
    unseen = [what for what, there in told.items() if there]
    if unseen:
        yield f"other programs do not see {', '.join(unseen)}; Callsheet finds them in the metadata of the cut"
    kinds = sorted({passing.type for scene in scenes if (passing := scene.passing) is not None} - {"fade"})
    if kinds:
        yield f"other programs may show other transitions in place of {', '.join(kinds)}"


def _texts(overlays: Sequence[Any]) -> bool:
    return any(isinstance(overlay, TextOverlay) for overlay in overlays)
