"""What lies over the scenes, in its place: when it is seen, how large, and what is heard of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.schedule import STILL_SECONDS, Schedule, Shot, to_frames
from callsheet.media.timeline.overlay import Overlay, PictureOverlay, TextOverlay, Title
from callsheet.media.timeline.timeline import Timeline, VideoTrack


@dataclass(frozen=True, slots=True)
class Layer:
    """An overlay in its place. Times are frames of the film."""

    where: str
    """The field that it was given in, for messages."""
    overlay: PictureOverlay | TextOverlay
    footage: MediaInfo | None
    """None for a text."""
    start: int
    frames: int
    fills: bool = False
    """Whether a picture without a size of its own fills the film, as on a track."""

    @property
    def end(self) -> int:
        """The frame after its last."""
        return self.start + self.frames

    @property
    def sounds(self) -> bool:
        """Whether anything of it is heard."""
        overlay = self.overlay
        if not isinstance(overlay, PictureOverlay) or self.footage is None or self.footage.still:
            return False
        return self.footage.has_audio and not overlay.mute and overlay.volume > 0


def place_layers(timeline: Timeline, footage: Mapping[str, MediaInfo], plan: Schedule) -> list[Layer]:
    """Return everything that lies over the scenes, from the bottom to the top.

    `footage` is what was found in the files, by the names that `Timeline.media` gives. Raises BadParams with every
    overlay that would come too late.
    """
    layers = [
        *(layer for shot in plan.shots for layer in _of_scene(shot, footage, plan)),
        *(layer for number, track in enumerate(timeline.tracks) for layer in _of_track(number, track, footage, plan)),
        *_of_film(timeline.overlays, footage, plan),
    ]
    late = [
        Problem(layer.where, "out_of_range", f"it starts at {plan.time_of(layer.start):g} s, when all is over")
        for layer in layers
        if layer.frames <= 0
    ]
    if late:
        raise BadParams(late)
    return sorted(layers, key=lambda layer: layer.overlay.z)


def layer_problems(timeline: Timeline, footage: Mapping[str, MediaInfo]) -> Iterator[Problem]:
    """Yield what is wrong with the files of overlays."""
    for where, overlay in _pictures(timeline):
        found = footage[where]
        if not found.has_video:
            yield Problem(f"{where}.src", "no_picture", "there is no picture in this file, only sound")
        elif overlay.type == "image" and not found.still:
            yield Problem(f"{where}.type", "not_an_image", "the file is a video, not an image")
        elif overlay.type == "video" and found.still:
            yield Problem(f"{where}.type", "not_a_video", "the file is an image, not a video")
        elif not found.still and overlay.trim_start >= found.length:
            message = f"trim_start is {overlay.trim_start:g} s, but the video is {found.length:g} s long"
            yield Problem(f"{where}.trimStart", "out_of_range", message)


def _pictures(timeline: Timeline) -> Iterator[tuple[str, PictureOverlay]]:
    lists: list[tuple[str, Sequence[Overlay]]] = [("overlays", timeline.overlays)]
    lists += [(f"scenes[{n}].overlays", scene.overlays) for n, scene in enumerate(timeline.scenes)]
    lists += [(f"tracks[{n}].clips", t.clips) for n, t in enumerate(timeline.tracks) if isinstance(t, VideoTrack)]
    for field, overlays in lists:
        for number, overlay in enumerate(overlays):
            if isinstance(overlay, PictureOverlay):
                yield f"{field}[{number}]", overlay


def _of_scene(shot: Shot, footage: Mapping[str, MediaInfo], plan: Schedule) -> Iterator[Layer]:
    scene = shot.scene
    for number, overlay in enumerate(scene.overlays):
        where = f"scenes[{shot.number}].overlays[{number}]"
        start = shot.start + to_frames(overlay.start or 0, plan.rate)
        yield _placed(where, overlay, footage.get(where), start, shot.end, plan.rate)
    if scene.title is not None:
        yield _title(shot, scene.title, plan.rate)


def _title(shot: Shot, title: Title, rate: Fraction) -> Layer:
    alone, passing = shot.start + shot.blend_in, shot.end - shot.blend_out
    start = alone if title.start is None else shot.start + to_frames(title.start, rate)
    end = passing if title.duration == "end" else min(shot.end, start + to_frames(title.duration, rate))
    frames = end - start if title.start is not None else max(1, end - start)
    return Layer(f"scenes[{shot.number}].title", title, None, start, frames)


def _of_track(number: int, track: object, footage: Mapping[str, MediaInfo], plan: Schedule) -> Iterator[Layer]:
    if not isinstance(track, VideoTrack):
        return
    following = 0
    for index, clip in enumerate(track.clips):
        where = f"tracks[{number}].clips[{index}]"
        found = footage.get(where)
        start = following if clip.start is None else to_frames(clip.start, plan.rate)
        still = found is None or found.still
        alone = clip.duration == "end" and still and index + 1 < len(track.clips)
        end = start + to_frames(STILL_SECONDS, plan.rate) if alone else plan.frames
        layer = _placed(where, clip, found, start, min(end, plan.frames), plan.rate, fills=True)
        following = layer.end
        yield layer


def _of_film(overlays: Sequence[Overlay], footage: Mapping[str, MediaInfo], plan: Schedule) -> Iterator[Layer]:
    for number, overlay in enumerate(overlays):
        where = f"overlays[{number}]"
        start = to_frames(overlay.start or 0, plan.rate)
        yield _placed(where, overlay, footage.get(where), start, plan.frames, plan.rate)


def _placed(
    where: str,
    overlay: PictureOverlay | TextOverlay,
    footage: MediaInfo | None,
    start: int,
    limit: int,
    rate: Fraction,
    *,
    fills: bool = False,
) -> Layer:
    """Place an overlay so that it ends by itself, by its duration, or with what it lies on."""
    end = limit
    if overlay.duration != "end":
        end = min(limit, start + max(1, to_frames(overlay.duration, rate)))
    elif isinstance(overlay, PictureOverlay) and footage is not None and not footage.still:
        plays = (footage.length - overlay.trim_start) / overlay.speed
        end = min(limit, start + max(1, to_frames(plays, rate)))
    return Layer(where, overlay, footage, start, end - start, fills)
