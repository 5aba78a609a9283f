"""The render plan: a timeline resolved to frames, layers, audio and output settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.media.encoding import audio_bitrates, codecs
from callsheet.media.encoding.codecs import AudioCodec
from callsheet.media.encoding.loudness import Target
from callsheet.media.probing.output_checks import ExpectedVideo
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import audio_mix
from callsheet.media.rendering.audio_placement import AudioPlacement
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule
from callsheet.media.rendering.segments import Segment


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """The output container and its audio encoding."""

    format: codecs.Container = "mp4"
    audio_codec: AudioCodec = "aac"
    audio_bitrate: int | None = audio_bitrates.RENDER_AAC
    """Bits per second; None: the default of the codec."""


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """Everything that a render needs."""

    schedule: Schedule
    canvas: Canvas
    layers: Sequence[Layer] = ()
    """Layers above the scenes; the last one is on top. ASS scripts of clients are files in the render's folder."""
    audio: Sequence[AudioPlacement] = ()
    """Audio besides the audio of the scenes."""
    loudness: Target | str | None = None
    """A loudness target, an audio filter, or None to leave the audio unchanged."""
    mute: bool = False
    container: ContainerSettings = field(default_factory=ContainerSettings)
    copied_shots: frozenset[int] = frozenset()
    """Indexes in the schedule of the shots whose video is stream-copied (see `stream_copy`)."""

    @property
    def has_audio(self) -> bool:
        """Whether the output has an audio track."""
        return not self.mute and audio_mix.has_audio(self.schedule, self.audio)

    def is_copied(self, segment: Segment) -> bool:
        """Return whether the video of a segment is stream-copied from its source."""
        return any(self.schedule.shots[number] is segment.shots[0] for number in self.copied_shots)

    @property
    def strict(self) -> bool:
        """Whether a damaged source is an error."""
        return any(media.strict for media in self._footage)

    @property
    def _footage(self) -> list[MediaInfo]:
        footage = [media for shot in self.schedule.shots for media in (shot.footage, shot.recording)]
        footage += [layer.footage for layer in self.layers if isinstance(layer, OverlayPlacement)]
        return [media for media in footage if media is not None]

    @property
    def source_files(self) -> set[Path]:
        """All media files that the render reads."""
        return {media.path for media in self._footage} | {each.path for each in self.audio}


@dataclass(frozen=True, slots=True)
class RenderedVideo:
    """A rendered and verified file."""

    path: Path
    notes: tuple[str, ...]


def expected_output(plan: RenderPlan) -> ExpectedVideo:
    """Return the properties that the rendered file must have."""
    return ExpectedVideo(
        plan.canvas.width, plan.canvas.height, plan.schedule.frames, plan.schedule.rate, has_audio=plan.has_audio
    )
