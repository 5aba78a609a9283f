"""A whole edit."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.timeline.audio import AudioClip, Soundtrack
from callsheet.media.timeline.captions import Captions
from callsheet.media.timeline.output import Output
from callsheet.media.timeline.overlay import Overlay, TextOverlay
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import LoudnessOption


class VideoTrack(Model):
    """Pictures, videos and texts one after another, over all that lies below. A clip fills the film."""

    type: Literal["video"] = "video"
    clips: list[Overlay] = Field(min_length=1, max_length=1000)


class AudioTrack(Model):
    """Sounds one after another."""

    type: Literal["audio"]
    clips: list[AudioClip] = Field(min_length=1, max_length=1000)
    volume: float = Field(1.0, ge=0, le=10)


class Timeline(Model):
    """A film: its scenes, what lies over them, and what it is to be."""

    scenes: list[Scene] = Field(min_length=1, max_length=1000, validation_alias=AliasChoices("scenes", "clips"))
    tracks: list[VideoTrack | AudioTrack] = Field(
        default_factory=list,
        max_length=50,
        description="Further tracks, the last on top. Without scenes, those of the first video track are the scenes",
    )
    overlays: list[Overlay] = Field(
        default_factory=list, max_length=1000, description="Times are seconds into the film; the last one is on top"
    )
    captions: Captions | None = None
    soundtrack: Soundtrack | None = None
    audio_clips: list[AudioClip] = Field(
        default_factory=list,
        max_length=1000,
        validation_alias=AliasChoices("audioClips", "audioTracks", "audio_tracks"),
        description="Voices and effects, each at a time of its own",
    )
    loudness: LoudnessOption | None = Field(
        None, description="LUFS to bring the sound to; unset: that of the settings, false: leave it", examples=[-16]
    )
    output: Output = Field(
        default_factory=lambda: Output.model_validate({}),
        validation_alias=AliasChoices("output", "output_format", "outputFormat"),
    )
    use_gpu: bool = Field(False, description="The same as `hardware: nvenc` in the output")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, list):
            return {"scenes": value}
        if isinstance(value, dict) and not value.keys() & {"scenes", "clips"}:
            return _from_tracks(value)
        return value

    @model_validator(mode="after")
    def _last_scene_leads_nowhere(self) -> "Timeline":
        if self.scenes[-1].passing is not None:
            raise ValueError("the last scene has a transition, but there is no scene after it")
        return self

    def media(self) -> Iterator[tuple[str, MediaSource]]:
        """Yield every picture, video and sound that the film is made of, with the name of the field it stands in."""
        for number, scene in enumerate(self.scenes):
            if scene.src is not None:
                yield f"scenes[{number}]", scene.src
            yield from _of(f"scenes[{number}].overlays", scene.overlays)
        for number, track in enumerate(self.tracks):
            yield from _of(f"tracks[{number}].clips", track.clips)
        yield from _of("overlays", self.overlays)
        yield from _of("audioClips", self.audio_clips)
        if self.soundtrack is not None:
            yield "soundtrack", self.soundtrack.src


def _of(field: str, parts: Sequence[Overlay | AudioClip]) -> Iterator[tuple[str, MediaSource]]:
    for number, part in enumerate(parts):
        if not isinstance(part, TextOverlay):
            yield f"{field}[{number}]", part.src


def _from_tracks(value: dict[str, Any]) -> dict[str, Any]:
    """Take the clips of the lowest video track for the scenes."""
    tracks = value.get("tracks")
    if not isinstance(tracks, list):
        return value
    for number, track in enumerate(tracks):
        if isinstance(track, dict) and track.get("type", "video") == "video" and isinstance(track.get("clips"), list):
            return {**value, "scenes": track["clips"], "tracks": tracks[:number] + tracks[number + 1 :]}
    return value
