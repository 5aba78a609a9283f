"""When each scene is seen, in whole frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.probe import Footage
from callsheet.media.timeline import Scene, Transition

STILL_SECONDS = 4.0
"""Of a picture or a colour that does not say how long it stays."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A scene in its place. Times are frames of the output."""

    number: int
    scene: Scene
    footage: Footage | None
    """None for a plain colour."""
    start: int
    frames: int
    blend_in: int
    """First frames, shared with the scene before."""
    blend_out: int
    """Last frames, shared with the scene after."""

    @property
    def end(self) -> int:
        """The frame after its last."""
        return self.start + self.frames

    @property
    def moves(self) -> bool:
        """Whether it is a film, not a still or a colour."""
        return self.footage is not None and not self.footage.still


@dataclass(frozen=True, slots=True)
class Schedule:
    """All scenes in their places."""

    rate: Fraction
    shots: tuple[Shot, ...]

    @property
    def frames(self) -> int:
        """Length of the whole."""
        return self.shots[-1].end

    @property
    def seconds(self) -> float:
        """Length of the whole."""
        return float(self.frames / self.rate)

    def time_of(self, frame: int) -> float:
        """Return when a frame is seen, in seconds."""
        return float(frame / self.rate)


def schedule(scenes: Sequence[Scene], footage: Sequence[Footage | None], rate: Fraction) -> Schedule:
    """Put scenes behind each other; those joined by a transition overlap by its length.

    Raises BadParams with every scene that cannot be placed.
    """
    problems = [
        p for n, (scene, found) in enumerate(zip(scenes, footage, strict=True)) for p in _unfit(n, scene, found)
    ]
    if problems:
        raise BadParams(problems)
    lengths = [_frames(scene, found, rate) for scene, found in zip(scenes, footage, strict=True)]
    blends = [0, *(_blend(scene.passing, rate) for scene in scenes[:-1]), 0]
    problems = [*_crowded(lengths, blends)]
    if problems:
        raise BadParams(problems)
    shots, start = [], 0
    for number, (scene, found, frames) in enumerate(zip(scenes, footage, lengths, strict=True)):
        start -= blends[number]
        shots.append(Shot(number, scene, found, start, frames, blends[number], blends[number + 1]))
        start += frames
    return Schedule(rate, tuple(shots))


def _unfit(number: int, scene: Scene, found: Footage | None) -> Iterator[Problem]:
    where = f"scenes[{number}]"
    if found is None:
        return
    if not found.has_picture:
        yield Problem(f"{where}.src", "no_picture", "there is no picture in this file, only sound")
    elif scene.type == "image" and not found.still:
        yield Problem(f"{where}.type", "not_an_image", "the file is a video, not an image")
    elif scene.type == "video" and found.still:
        yield Problem(f"{where}.type", "not_a_video", "the file is an image, not a video")
    elif scene.motion is not None and not found.still:
        yield Problem(f"{where}.motion", "not_an_image", "motion is for images; this file is a video")
    elif not found.still and scene.trim_start >= found.length:
        message = f"trim_start is {scene.trim_start:g} s, but the video is {found.length:g} s long"
        yield Problem(f"{where}.trimStart", "beyond_the_end", message)


def _frames(scene: Scene, found: Footage | None, rate: Fraction) -> int:
    if scene.duration != "auto":
        seconds = scene.duration
    elif found is None or found.still:
        seconds = STILL_SECONDS
    else:
        seconds = found.length - scene.trim_start
    return max(1, round(Fraction(seconds) * rate))


def _blend(transition: Transition | None, rate: Fraction) -> int:
    return 0 if transition is None else max(1, round(Fraction(transition.duration) * rate))


def _crowded(lengths: list[int], blends: list[int]) -> Iterator[Problem]:
    for number, frames in enumerate(lengths):
        before, after = blends[number], blends[number + 1]
        if before + after > frames:
            message = (
                f"the scene lasts {frames} frames, but its transitions take {before} at its start and {after} at "
                "its end; shorten them, or lengthen the scene"
            )
            yield Problem(f"scenes[{number}]", "transitions_too_long", message)
