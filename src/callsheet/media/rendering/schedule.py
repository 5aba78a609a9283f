"""When each scene is seen, in whole frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.timeline.scene import Scene
from callsheet.media.timeline.transition import Transition

STILL_SECONDS = 4.0
"""Of a picture or a colour that does not say how long it stays."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A scene in its place. Times are frames of the output."""

    number: int
    scene: Scene
    footage: MediaInfo | None
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

    @property
    def sounds(self) -> bool:
        """Whether anything of it is heard."""
        return self.moves and bool(self.footage and self.footage.has_audio) and audible(self.scene)

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"scenes[{self.number}]" + (f" ({self.scene.name})" if self.scene.name else "")


def audible(part: Scene) -> bool:
    """Tell whether a scene's sound is to be heard."""
    return part.volume > 0 and not part.mute


@dataclass(frozen=True, slots=True)
class Schedule:
    """All scenes in their places, without gaps."""

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


def schedule(
    scenes: Sequence[Scene], footage: Sequence[MediaInfo | None], rate: Fraction, background: str = "#000000"
) -> Schedule:
    """Put scenes behind each other; those joined by a transition overlap by its length, gaps are filled.

    Raises BadParams with every scene that cannot be placed.
    """
    problems = [
        p for n, (scene, found) in enumerate(zip(scenes, footage, strict=True)) for p in _problems(n, scene, found)
    ]
    if problems:
        raise BadParams(problems)
    lengths = [_frames(scene, found, rate) for scene, found in zip(scenes, footage, strict=True)]
    blends = [0, *(_blend(scene.passing, rate) for scene in scenes[:-1]), 0]
    starts = _starts(scenes, lengths, blends, rate)
    problems = [*_crowded(lengths, blends), *_misplaced(scenes, lengths, blends, starts, rate)]
    if problems:
        raise BadParams(problems)
    shots: list[Shot] = []
    for number, (scene, found, frames) in enumerate(zip(scenes, footage, lengths, strict=True)):
        end = shots[-1].end if shots else 0
        if starts[number] > end:
            gap = Scene.model_validate({"color": background})
            shots.append(Shot(number, gap, None, end, starts[number] - end, 0, 0))
        shots.append(Shot(number, scene, found, starts[number], frames, blends[number], blends[number + 1]))
    return Schedule(rate, tuple(shots))


def to_frames(seconds: float, rate: Fraction) -> int:
    """Return the frame that is nearest to a time."""
    return round(Fraction(seconds) * rate)


def _problems(number: int, scene: Scene, found: MediaInfo | None) -> Iterator[Problem]:
    where = f"scenes[{number}]"
    if found is None:
        return
    if not found.has_video:
        yield Problem(f"{where}.src", "no_picture", "there is no picture in this file, only sound")
    elif scene.type == "image" and not found.still:
        yield Problem(f"{where}.type", "not_an_image", "the file is a video, not an image")
    elif scene.type == "video" and found.still:
        yield Problem(f"{where}.type", "not_a_video", "the file is an image, not a video")
    elif scene.motion is not None and not found.still:
        yield Problem(f"{where}.motion", "not_an_image", "motion is for images; this file is a video")
    elif not found.still and scene.trim_start >= found.length:
        message = f"trim_start is {scene.trim_start:g} s, but the video is {found.length:g} s long"
        yield Problem(f"{where}.trimStart", "out_of_range", message)
    elif not found.still and scene.trim_end is not None and scene.trim_end > found.length + 0.5:
        message = f"trim_end is {scene.trim_end:g} s, but the video is {found.length:g} s long"
        yield Problem(f"{where}.trimEnd", "out_of_range", message)


def _frames(scene: Scene, found: MediaInfo | None, rate: Fraction) -> int:
    if scene.duration != "auto":
        seconds = scene.duration
    elif found is None or found.still:
        seconds = STILL_SECONDS
    else:
        end = found.length if scene.trim_end is None else min(scene.trim_end, found.length)
        seconds = (end - scene.trim_start) / scene.speed
    return max(1, to_frames(seconds, rate))


def _blend(transition: Transition | None, rate: Fraction) -> int:
    return 0 if transition is None else max(1, to_frames(transition.duration, rate))


def _starts(scenes: Sequence[Scene], lengths: list[int], blends: list[int], rate: Fraction) -> list[int]:
    starts: list[int] = []
    for number, scene in enumerate(scenes):
        usual = starts[-1] + lengths[number - 1] - blends[number] if starts else 0
        starts.append(usual if scene.start is None else to_frames(scene.start, rate))
    return starts


def _crowded(lengths: list[int], blends: list[int]) -> Iterator[Problem]:
    for number, frames in enumerate(lengths):
        before, after = blends[number], blends[number + 1]
        if before + after > frames:
            message = (
                f"the scene lasts {frames} frames, but its transitions take {before} at its start and {after} at "
                "its end; shorten them, or lengthen the scene"
            )
            yield Problem(f"scenes[{number}]", "transitions_too_long", message)


def _misplaced(
    scenes: Sequence[Scene], lengths: list[int], blends: list[int], starts: list[int], rate: Fraction
) -> Iterator[Problem]:
    for number, scene in enumerate(scenes):
        if scene.start is None:
            continue
        usual = starts[number - 1] + lengths[number - 1] - blends[number] if number else 0
        seconds = float(usual / rate)
        if starts[number] < usual:
            message = f"the scene before ends at {seconds:g} s; this one starts at {scene.start:g} s"
            yield Problem(f"scenes[{number}].start", "scenes_overlap", message)
        elif starts[number] > usual and blends[number]:
            message = f"the transition into it needs it to start at {seconds:g} s, not at {scene.start:g} s"
            yield Problem(f"scenes[{number}].start", "transition_over_a_gap", message)
