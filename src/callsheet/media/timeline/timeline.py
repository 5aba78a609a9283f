"""The timeline: everything that `render` needs to produce a video."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.timeline.audio import AudioClip, Soundtrack
from callsheet.media.timeline.captions import Captions
from callsheet.media.timeline.output import Output
from callsheet.media.timeline.overlay import Overlay, TextOverlay
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import LoudnessOption, Strict


class VideoTrack(Model):
    """Images, videos and texts one after another, above the scenes. A clip without a size fills the frame."""

    type: Literal["video"] = "video"
    clips: list[Overlay] = Field(min_length=1, max_length=1000)


class AudioTrack(Model):
    """Audio clips one after another."""

    type: Literal["audio"]
    clips: list[AudioClip] = Field(min_length=1, max_length=1000)
    volume: float = Field(1.0, ge=0, le=10)


class Timeline(Model):
    """A video: its scenes, overlays, audio and output settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scenes": [{"src": "./input.mp4", "duration": 5}]}]})

    scenes: list[Scene] = Field(min_length=1, max_length=1000, validation_alias=AliasChoices("scenes", "clips"))
    tracks: list[VideoTrack | AudioTrack] = Field(
        default_factory=list,
        max_length=50,
        description="More tracks; the last one is on top. Without scenes, the clips of the first video track are used",
    )
    overlays: list[Overlay] = Field(
        default_factory=list,
        max_length=1000,
        description="Times are seconds from the start of the video; the last one is on top",
    )
    captions: Captions | None = None
    soundtrack: Soundtrack | None = None
    audio_clips: list[AudioClip] = Field(
        default_factory=list,
        max_length=1000,
        validation_alias=AliasChoices("audioClips", "audioTracks", "audio_tracks"),
        description="Voices and sound effects, each with its own start",
    )
    loudness: LoudnessOption | None = Field(
        None,
        description="Target loudness in LUFS. Default: from the setting ffmpeg_audio_filter; false: unchanged",
        examples=[-16],
    )
    output: Output = Field(
        default_factory=lambda: Output.model_validate({}),
        validation_alias=AliasChoices("output", "output_format", "outputFormat"),
    )
    strict: Strict = False
    use_gpu: bool = Field(False, description="Same as `hardware: nvenc` in the output")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, list):
            return {"scenes": value}
        if isinstance(value, dict) and not value.keys() & {"scenes", "clips"}:
            return _scenes_from_tracks(value)
        return value

    @model_validator(mode="after")
    def _check_last_transition(self) -> "Timeline":
        if self.scenes[-1].effective_transition is not None:
            raise ValueError("the last scene has a transition, but there is no scene after it")
        return self

    def media(self) -> Iterator[tuple[str, MediaSource]]:
        """Yield every media source with the name of its field."""
        for number, scene in enumerate(self.scenes):
            if scene.src is not None:
                yield f"scenes[{number}]", scene.src
            yield from _sources(f"scenes[{number}].overlays", scene.overlays)
        for number, track in enumerate(self.tracks):
            yield from _sources(f"tracks[{number}].clips", track.clips)
        yield from _sources("overlays", self.overlays)
        yield from _sources("audioClips", self.audio_clips)
        if self.soundtrack is not None:
            yield "soundtrack", self.soundtrack.src


def _sources(field: str, parts: Sequence[Overlay | AudioClip]) -> Iterator[tuple[str, MediaSource]]:
    for number, part in enumerate(parts):
        if not isinstance(part, TextOverlay):
            yield f"{field}[{number}]", part.src


def _scenes_from_tracks(value: dict[str, Any]) -> dict[str, Any]:
    """Move the clips of the lowest video track to the scenes."""
    tracks = value.get("tracks")
    if not isinstance(tracks, list):
        return value
    for number, track in enumerate(tracks):
        if isinstance(track, dict) and track.get("type", "video") == "video" and isinstance(track.get("clips"), list):
            return {**value, "scenes": track["clips"], "tracks": tracks[:number] + tracks[number + 1 :]}
    return value
