"""The schedule: start and length of each scene, in whole frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.timeline.scene import Scene
from callsheet.media.timeline.transition import Transition

DEFAULT_STILL_SECONDS = 4.0
"""Length of an image, color or text without a duration."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A scene at its place in the video. Times are frames of the output."""

    number: int
    scene: Scene
    footage: MediaInfo | None
    """None for a color, and for a file without a picture."""
    start: int
    frames: int
    blend_in: int
    """First frames, shared with the scene before."""
    blend_out: int
    """Last frames, shared with the scene after."""
    recording: MediaInfo | None = None
    """A file without a picture, which plays over the background."""

    @property
    def end(self) -> int:
        """The first frame after it."""
        return self.start + self.frames

    @property
    def is_video(self) -> bool:
        """Whether it is a video, not an image or a color."""
        return self.footage is not None and not self.footage.still

    @property
    def sound(self) -> MediaInfo | None:
        """The file whose audio is part of the mix."""
        media = self.recording or (self.footage if self.is_video else None)
        return media if media is not None and media.has_audio and _is_audible(self.scene) else None

    @property
    def has_audio(self) -> bool:
        """Whether its audio is part of the mix."""
        return self.sound is not None

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"scenes[{self.number}]" + (f" ({self.scene.name})" if self.scene.name else "")


@dataclass(frozen=True, slots=True)
class Schedule:
    """All scenes at their places, without gaps. `rate` is in frames per second."""

    rate: Fraction
    shots: tuple[Shot, ...]

    @property
    def frames(self) -> int:
        """Length of the video in frames."""
        return self.shots[-1].end

    @property
    def seconds(self) -> float:
        """Length of the video in seconds."""
        return float(self.frames / self.rate)

    def time_of(self, frame: int) -> float:
        """Return the time of a frame in seconds."""
        return float(frame / self.rate)


def build_schedule(
    scenes: Sequence[Scene], files: Sequence[MediaInfo | None], rate: Fraction, background: str = "#000000"
) -> Schedule:
    """Place scenes one after another. Scenes with a transition overlap by its length.

    Gaps are filled with `background`. Raises BadParams with every scene that cannot be placed.
    """
    problems = [
        problem
        for number, (scene, media) in enumerate(zip(scenes, files, strict=True))
        for problem in _media_problems(number, scene, media)
    ]
    if problems:
        raise BadParams(problems)
    lengths = [_length(scene, media, rate) for scene, media in zip(scenes, files, strict=True)]
    blends = [0, *(_blend(scene.effective_transition, rate) for scene in scenes[:-1]), 0]
    starts = _starts(scenes, lengths, blends, rate)
    problems = [*_transition_problems(lengths, blends), *_start_problems(scenes, lengths, blends, starts, rate)]
    if problems:
        raise BadParams(problems)
    shots: list[Shot] = []
    for number, (scene, media, frames) in enumerate(zip(scenes, files, lengths, strict=True)):
        end = shots[-1].end if shots else 0
        if starts[number] > end:
            gap = Scene.model_validate({"color": background})
            shots.append(Shot(number, gap, None, end, starts[number] - end, 0, 0))
        footage, recording = (media, None) if media is None or media.has_video else (None, media)
        shots.append(
            Shot(number, scene, footage, starts[number], frames, blends[number], blends[number + 1], recording)
        )
    return Schedule(rate, tuple(shots))


def to_frames(seconds: float, rate: Fraction) -> int:
    """Return the frame that is nearest to a time."""
    return round(Fraction(seconds) * rate)


def _is_audible(scene: Scene) -> bool:
    return scene.volume > 0 and not scene.mute


def _media_problems(number: int, scene: Scene, media: MediaInfo | None) -> Iterator[Problem]:
    field = f"scenes[{number}]"
    if media is None:
        return
    if not media.has_video and scene.type is not None:
        yield Problem(f"{field}.type", "no_picture", f"the file has only audio, no {scene.type}")
    elif scene.type == "image" and not media.still:
        yield Problem(f"{field}.type", "not_an_image", "the file is a video, not an image")
    elif scene.type == "video" and media.still:
        yield Problem(f"{field}.type", "not_a_video", "the file is an image, not a video")
    elif scene.motion is not None and not media.still:
        yield Problem(f"{field}.motion", "not_an_image", "motion is for images; this file is not one")
    elif not media.still and scene.trim_start >= media.length:
        message = f"trim_start is {scene.trim_start:g} s, but the file is {media.length:g} s long"
        yield Problem(f"{field}.trimStart", "out_of_range", message)
    elif not media.still and scene.trim_end is not None and scene.trim_end > media.length + 0.5:
        message = f"trim_end is {scene.trim_end:g} s, but the file is {media.length:g} s long"
        yield Problem(f"{field}.trimEnd", "out_of_range", message)


def _length(scene: Scene, media: MediaInfo | None, rate: Fraction) -> int:
    if scene.duration != "auto":
        seconds = scene.duration
    elif media is None or media.still:
        seconds = DEFAULT_STILL_SECONDS
    else:
        end = media.length if scene.trim_end is None else min(scene.trim_end, media.length)
        seconds = (end - scene.trim_start) / scene.speed
    return max(1, to_frames(seconds, rate))


def _blend(transition: Transition | None, rate: Fraction) -> int:
    return 0 if transition is None else max(1, to_frames(transition.duration, rate))


def _starts(scenes: Sequence[Scene], lengths: list[int], blends: list[int], rate: Fraction) -> list[int]:
    starts: list[int] = []
    for number, scene in enumerate(scenes):
        default_start = starts[-1] + lengths[number - 1] - blends[number] if starts else 0
        starts.append(default_start if scene.start is None else to_frames(scene.start, rate))
    return starts


def _transition_problems(lengths: list[int], blends: list[int]) -> Iterator[Problem]:
    for number, frames in enumerate(lengths):
        before, after = blends[number], blends[number + 1]
        if before + after > frames:
            message = (
                f"the scene lasts {frames} frames, but its transitions take {before} at its start and {after} at "
                "its end; shorten them, or lengthen the scene"
            )
            yield Problem(f"scenes[{number}]", "transitions_too_long", message)


def _start_problems(
    scenes: Sequence[Scene], lengths: list[int], blends: list[int], starts: list[int], rate: Fraction
) -> Iterator[Problem]:
    for number, scene in enumerate(scenes):
        if scene.start is None:
            continue
        default_start = starts[number - 1] + lengths[number - 1] - blends[number] if number else 0
        seconds = float(default_start / rate)
        if starts[number] < default_start:
            message = f"the scene before ends at {seconds:g} s, but this one starts at {scene.start:g} s"
            yield Problem(f"scenes[{number}].start", "scenes_overlap", message)
        elif starts[number] > default_start and blends[number]:
            message = f"the transition into this scene requires a start at {seconds:g} s, not at {scene.start:g} s"
            yield Problem(f"scenes[{number}].start", "transition_over_gap", message)
