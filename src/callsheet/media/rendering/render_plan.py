"""The render plan: a timeline resolved to frames, layers, audio and output settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import AudioCodec
from callsheet.media.encoding.loudness import Target
from callsheet.media.probing.output_checks import ExpectedVideo
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
    audio_bitrate: int | None = 192_000
    """Bits per second; None is the default of the codec."""


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
    def source_files(self) -> set[Path]:
        """All media files that the render reads."""
        footage = [shot.footage for shot in self.schedule.shots]
        footage += [layer.footage for layer in self.layers if isinstance(layer, OverlayPlacement)]
        return {media.path for media in footage if media is not None} | {each.path for each in self.audio}


@dataclass(frozen=True, slots=True)
class RenderedVideo:
    """A rendered and verified file."""

    path: Path
    notes: tuple[str, ...]


def expected_output(plan: RenderPlan) -> ExpectedVideo:
    """Return the properties that the rendered file must have."""
    return ExpectedVideo(
        plan.canvas.width, plan.canvas.height, plan.schedule.frames, plan.schedule.rate, sound=plan.has_audio
    )
