"""Everything that making a film takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.media.encoding import audio_bitrates, codecs
from callsheet.media.encoding.codecs import AudioCodec
from callsheet.media.encoding.loudness import Target
from callsheet.media.probing.output_checks import ExpectedVideo
from callsheet.media.rendering import audio_mix
from callsheet.media.rendering.audio_mix import AudioPlacement
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.overlays import Above
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule
from callsheet.media.rendering.segments import Segment


@dataclass(frozen=True, slots=True)
class Container:
    """What a film is put into."""

    format: codecs.Container = "mp4"
    sound: AudioCodec = "aac"
    sound_bitrate: int | None = audio_bitrates.RENDER_AAC
    """Bits per second; None: the default of `audio_bitrates.DELIVERY`."""


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """Everything that making a film takes."""

    plan: Schedule
    canvas: Canvas
    above: Sequence[Above] = ()
    """What lies over the scenes, the last on top. Given scripts lie in the folder that the film is made in."""
    sounds: Sequence[AudioPlacement] = ()
    """What is heard besides the scenes."""
    level: Target | str | None = None
    """A loudness to reach, a filter to use as it is, or None to leave the sound as it is."""
    mute: bool = False
    container: Container = field(default_factory=Container)
    copied: frozenset[int] = frozenset()
    """Shots, by their place in the plan, whose picture is taken over as it is (see `copying`)."""

    @property
    def has_sound(self) -> bool:
        """Whether anything is heard."""
        return not self.mute and audio_mix.has_sound(self.plan, self.sounds)

    def copies(self, segment: Segment) -> bool:
        """Tell whether a segment is taken over from its file as it is."""
        return any(self.plan.shots[number] is segment.shots[0] for number in self.copied)

    @property
    def files(self) -> set[Path]:
        """The files that it is made of."""
        footage = [shot.footage for shot in self.plan.shots]
        footage += [thing.footage for thing in self.above if isinstance(thing, Layer)]
        return {found.path for found in footage if found is not None} | {each.path for each in self.sounds}


@dataclass(frozen=True, slots=True)
class RenderedFilm:
    """A finished film."""

    path: Path
    notes: tuple[str, ...]


def expected_output(film: RenderPlan) -> ExpectedVideo:
    """Return what the finished film must be."""
    return ExpectedVideo(
        film.canvas.width, film.canvas.height, film.plan.frames, film.plan.rate, has_audio=film.has_sound
    )
