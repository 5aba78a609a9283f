"""Export of a render timeline to an OpenTimelineIO Timeline.

The metadata of the OpenTimelineIO objects holds what OpenTimelineIO cannot represent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.media.encoding.pcm import SAMPLE_RATE
from callsheet.media.otio.library import METADATA_KEY, load_otio
from callsheet.media.otio.media_urls import url_from_source
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.audio_placement import AudioPlacement, place_audio
from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.rendering.schedule import Schedule, Shot
from callsheet.media.timeline.overlay import MediaOverlay, TextOverlay
from callsheet.media.timeline.scene import Scene
from callsheet.media.timeline.timeline import Timeline, VideoTrack

_DISSOLVE = "SMPTE_Dissolve"
_CUSTOM = "Custom_Transition"
_CLIP_FIELDS = {"src", "trim_start", "duration", "speed", "start"}
"""Fields that an OpenTimelineIO Clip represents."""
_SCENE_FIELDS = {"name", "color", "trim_end", "transition"}
"""More fields of a scene that OpenTimelineIO represents."""
_TIMELINE_FIELDS = {"scenes", "tracks", "audio_clips"}
"""Fields of a timeline that the Tracks represent."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported timeline."""

    timeline: Any
    """An OpenTimelineIO Timeline."""
    notes: tuple[str, ...]
    """Features that other programs do not see."""


def to_otio(
    timeline: Timeline,
    footage: Mapping[str, MediaInfo],
    schedule: Schedule,
    overlays: Sequence[OverlayPlacement],
    *,
    name: str,
    folder: Path,
) -> Exported:
    """Return an OpenTimelineIO Timeline of the same length, in which everything has the same position.

    `footage` holds the probe results of the files, by the field names that `Timeline.media` yields. Relative paths
    start from `folder`. Raises ConfigurationError if OpenTimelineIO is not installed.
    """
    exporter = _Exporter(timeline, footage, schedule, folder)
    return Exported(exporter.export(name, overlays), tuple(_notes(timeline)))


class _Exporter:
    """Exporter of one timeline."""

    def __init__(self, timeline: Timeline, footage: Mapping[str, MediaInfo], schedule: Schedule, folder: Path) -> None:
        self._otio = load_otio()
        self._timeline = timeline
        self._footage = footage
        self._schedule = schedule
        self._folder = folder

    def export(self, name: str, overlays: Sequence[OverlayPlacement]) -> Any:
        """Return the OpenTimelineIO Timeline."""
        exported = self._otio.schema.Timeline(name)
        exported.metadata[METADATA_KEY] = self._timeline_metadata()
        rows = [row for clips in self._video_track_clips(overlays) for row in _stack(clips)]
        exported.tracks.extend(
            [
                self._track("Scenes", "Video", self._scene_items()),
                *(self._track(f"Overlays {n}", "Video", self._overlay_items(row)) for n, row in enumerate(rows, 1)),
                *self._scene_audio_tracks(),
                *self._overlay_audio_tracks(rows),
                *self._audio_tracks(),
            ]
        )
        return exported

    def _timeline_metadata(self) -> dict[str, Any]:
        fields = self._absolute_sources(
            self._timeline.model_dump(
                mode="json", by_alias=True, exclude_unset=True, exclude={*_TIMELINE_FIELDS, "spread"}
            )
        )
        return {**fields, "output": {**fields.get("output", {}), "fps": fields.get("output", {}).get("fps", 30)}}

    # Scenes

    def _scene_items(self, *, audio: bool = False) -> list[Any]:
        """Return the scenes with their Transitions; for an audio Track, silent scenes are Gaps."""
        items: list[Any] = []
        for number, shot in enumerate(self._schedule.shots):
            before = self._schedule.shots[number - 1] if number else None
            if shot.blend_in and before is not None and (not audio or shot.has_audio or before.has_audio):
                items.append(self._transition(before, shot.blend_in, audio=audio))
            items.append(self._scene_item(shot, audio=audio))
        return items

    def _scene_item(self, shot: Shot, *, audio: bool) -> Any:
        schema = self._otio.schema
        before, after = _split_transition(shot.blend_in)[0], _split_transition(shot.blend_out)[1]
        length = shot.frames - before - after
        if self._is_gap(shot) or (audio and not shot.has_audio):
            return schema.Gap(source_range=self._range(Fraction(0), length))
        scene = shot.scene
        media_start = Fraction(scene.trim_start) + before * Fraction(scene.speed) / self._schedule.rate
        clip = schema.Clip(
            scene.name or _file_name(scene.src, "Color"),
            self._media_reference(scene, shot.footage),
            self._range(media_start, length),
        )
        if not audio:
            clip.metadata[METADATA_KEY] = self._absolute_sources(_clip_metadata(scene))
        return self._with_speed(clip, scene.speed)

    def _is_gap(self, shot: Shot) -> bool:
        return shot.scene is not self._timeline.scenes[shot.number]

    def _transition(self, before: Shot, frames: int, *, audio: bool) -> Any:
        transition = before.scene.effective_transition
        assert transition is not None  # noqa: S101 - scenes overlap only in a transition
        in_frames, out_frames = _split_transition(frames)
        rational_time = self._otio.opentime.RationalTime
        rate = float(self._schedule.rate)
        return self._otio.schema.Transition(
            name=transition.type,
            transition_type=_DISSOLVE if audio or transition.type == "fade" else _CUSTOM,
            in_offset=rational_time(in_frames, rate),
            out_offset=rational_time(out_frames, rate),
            metadata={METADATA_KEY: {"type": transition.type, "audioCurve": transition.audio_curve}},
        )

    # Overlays

    def _video_track_clips(self, overlays: Sequence[OverlayPlacement]) -> Iterator[list[OverlayPlacement]]:
        by_field = {placement.field: placement for placement in overlays}
        for number, track in enumerate(self._timeline.tracks):
            if isinstance(track, VideoTrack):
                yield [by_field[f"tracks[{number}].clips[{n}]"] for n in range(len(track.clips))]

    def _overlay_items(self, row: Sequence[OverlayPlacement], *, audio: bool = False) -> list[Any]:
        items: list[Any] = []
        position = 0
        for placement in row:
            if placement.start > position:
                items.append(self._gap(placement.start - position))
            is_silent = audio and not placement.has_audio
            items.append(self._gap(placement.frames) if is_silent else self._overlay_clip(placement, audio=audio))
            position = placement.end
        return items

    def _overlay_clip(self, placement: OverlayPlacement, *, audio: bool) -> Any:
        overlay, schema = placement.overlay, self._otio.schema
        if isinstance(overlay, TextOverlay):
            media = schema.GeneratorReference(name="text", generator_kind="callsheet.text")
            clip = schema.Clip(overlay.text[:80], media, self._range(Fraction(0), placement.frames))
            clip.metadata[METADATA_KEY] = _clip_metadata(overlay)
            return clip
        clip = schema.Clip(
            _file_name(overlay.src, ""),
            self._external_reference(overlay.src, placement.footage),
            self._range(Fraction(overlay.trim_start), placement.frames),
        )
        if not audio:
            clip.metadata[METADATA_KEY] = _clip_metadata(overlay)
        return self._with_speed(clip, overlay.speed)

    # Audio

    def _scene_audio_tracks(self) -> Iterator[Any]:
        if any(shot.has_audio for shot in self._schedule.shots):
            yield self._track("Scene audio", "Audio", self._scene_items(audio=True))

    def _overlay_audio_tracks(self, rows: Sequence[Sequence[OverlayPlacement]]) -> Iterator[Any]:
        for number, row in enumerate(rows, 1):
            if any(placement.has_audio for placement in row):
                yield self._track(f"Overlay audio {number}", "Audio", self._overlay_items(row, audio=True))

    def _audio_tracks(self) -> Iterator[Any]:
        sources = {self._footage[field].path: source for field, source in self._timeline.media()}
        clips_only = self._timeline.model_copy(update={"soundtrack": None})
        placements = place_audio(clips_only, self._footage, [], self._schedule)
        for number, row in enumerate(_audio_rows(placements), 1):
            yield self._track(f"Audio {number}", "Audio", self._audio_items(row, sources))
        if self._timeline.soundtrack is not None:
            soundtrack_only = self._timeline.model_copy(update={"tracks": [], "audio_clips": []})
            row = place_audio(soundtrack_only, self._footage, [], self._schedule)
            track = self._track("Soundtrack", "Audio", self._audio_items(row, sources))
            track.metadata[METADATA_KEY] = {"soundtrack": True}
            yield track

    def _audio_items(self, row: Sequence[AudioPlacement], sources: Mapping[Path, MediaSource]) -> list[Any]:
        """Return Clips and Gaps with times in samples, because audio need not start on a frame."""
        schema = self._otio.schema
        items: list[Any] = []
        position = 0
        for placement in row:
            if placement.start > position:
                items.append(self._gap(placement.start - position, SAMPLE_RATE))
            source = sources[placement.path]
            media = self._external_reference(source, None)
            media_range = self._range(Fraction(placement.trim_start), placement.length, SAMPLE_RATE)
            clip = schema.Clip(_file_name(source, ""), media, media_range)
            clip.metadata[METADATA_KEY] = _audio_metadata(placement)
            items.append(self._with_speed(clip, placement.speed))
            position = placement.end
        return items

    # Parts

    def _absolute_sources(self, metadata: Any) -> Any:
        """Return metadata in which relative paths of sources are absolute."""
        if isinstance(metadata, list):
            return [self._absolute_sources(each) for each in metadata]
        if not isinstance(metadata, dict):
            return metadata
        return {
            key: self._absolute_source(value) if key == "src" else self._absolute_sources(value)
            for key, value in metadata.items()
        }

    def _absolute_source(self, src: Any) -> Any:
        source = MediaSource.model_validate(src)
        return str((self._folder / str(src)).resolve()) if source.kind is SourceKind.PATH else src

    def _track(self, name: str, kind: str, items: Sequence[Any]) -> Any:
        return self._otio.schema.Track(name, children=list(items), kind=kind)

    def _gap(self, length: int, rate: int | None = None) -> Any:
        return self._otio.schema.Gap(source_range=self._range(Fraction(0), length, rate))

    def _range(self, start: Fraction, length: int, rate: int | Fraction | None = None) -> Any:
        """Return a TimeRange. `start` is in seconds, `length` in units of `rate`, by default frames."""
        rate = self._schedule.rate if rate is None else rate
        time = self._otio.opentime
        return time.TimeRange(
            time.RationalTime(float(start * rate), float(rate)), time.RationalTime(length, float(rate))
        )

    def _media_reference(self, scene: Scene, footage: MediaInfo | None) -> Any:
        if scene.src is not None:
            return self._external_reference(scene.src, footage)
        return self._otio.schema.GeneratorReference(
            name="color", generator_kind="SolidColor", parameters={"color": scene.color}
        )

    def _external_reference(self, source: MediaSource, footage: MediaInfo | None) -> Any:
        available = None
        if footage is not None and not footage.still:
            available = self._range(Fraction(0), round(Fraction(footage.length) * self._schedule.rate))
        return self._otio.schema.ExternalReference(url_from_source(source, self._folder), available)

    def _with_speed(self, clip: Any, speed: float) -> Any:
        if speed != 1:
            clip.effects.append(self._otio.schema.LinearTimeWarp(name="speed", time_scalar=speed))
        return clip


def _split_transition(frames: int) -> tuple[int, int]:
    """Return the frames of a transition before and after its edit point."""
    return frames // 2, frames - frames // 2


def _clip_metadata(part: Scene | MediaOverlay | TextOverlay) -> dict[str, Any]:
    """Return the fields that an OpenTimelineIO Clip cannot represent."""
    represented = _CLIP_FIELDS | (_SCENE_FIELDS if isinstance(part, Scene) else set())
    fields: dict[str, Any] = part.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=represented)
    return fields


def _audio_metadata(placement: AudioPlacement) -> dict[str, Any]:
    fields: dict[str, Any] = {"volume": placement.volume, "fadeIn": placement.fade_in, "fadeOut": placement.fade_out}
    fields |= {"loop": placement.loop, "duck": placement.duck.model_dump(by_alias=True) if placement.duck else None}
    defaults = {"volume": 1.0, "fadeIn": 0.0, "fadeOut": 0.0, "loop": False, "duck": None}
    return {key: value for key, value in fields.items() if value != defaults[key]}


def _file_name(source: MediaSource | None, default: str) -> str:
    return Path(source.text).name if source is not None else default


def _stack(placements: Sequence[OverlayPlacement]) -> list[list[OverlayPlacement]]:
    """Distribute overlays that overlap in time on rows, so that later ones stay on top."""
    rows: list[list[OverlayPlacement]] = []
    for placement in placements:
        overlapping = [
            n
            for n, row in enumerate(rows)
            if any(other.start < placement.end and placement.start < other.end for other in row)
        ]
        lowest = max(overlapping, default=-1) + 1
        rows += [[]] if lowest == len(rows) else []
        rows[lowest].append(placement)
    return [sorted(row, key=lambda placement: placement.start) for row in rows]


def _audio_rows(placements: Sequence[AudioPlacement]) -> list[list[AudioPlacement]]:
    """Distribute audio on as few rows as possible, so that nothing overlaps in a row."""
    rows: list[list[AudioPlacement]] = []
    for placement in sorted(placements, key=lambda each: each.start):
        free = next((row for row in rows if row[-1].end <= placement.start), None)
        if free is None:
            rows.append([placement])
        else:
            free.append(placement)
    return rows


def _notes(timeline: Timeline) -> Iterator[str]:
    scenes = timeline.scenes
    features = {
        "texts": any(scene.title or _has_text(scene.overlays) for scene in scenes) or _has_text(timeline.overlays),
        "overlays": timeline.overlays or any(scene.overlays for scene in scenes),
        "captions": timeline.captions,
        "fit, crop and filters": any(scene.fit or scene.crop or scene.filters for scene in scenes),
        "camera motion": any(scene.motion for scene in scenes),
        "volumes and fades": any(scene.volume != 1 or scene.fade_in or scene.fade_out for scene in scenes),
        "loudness": timeline.loudness is not None,
        "output size and encoding": timeline.output.model_fields_set - {"fps"},
    }
    hidden = [name for name, is_used in features.items() if is_used]
    if hidden:
        yield f"other programs do not see {', '.join(hidden)}; the metadata of the file keeps them for Callsheet"
    transitions = [transition for scene in scenes if (transition := scene.effective_transition) is not None]
    if types := sorted({transition.type for transition in transitions} - {"fade"}):
        yield f"other programs may show other transitions instead of {', '.join(types)}"


def _has_text(overlays: Sequence[Any]) -> bool:
    return any(isinstance(overlay, TextOverlay) for overlay in overlays)
