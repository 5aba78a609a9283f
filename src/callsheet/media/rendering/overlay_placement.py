"""Placement of overlays on the timeline: titles, overlays of scenes, clips of video tracks, global overlays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.schedule import DEFAULT_STILL_SECONDS, Schedule, Shot, to_frames
from callsheet.media.timeline.overlay import MediaOverlay, Overlay, TextOverlay, Title
from callsheet.media.timeline.timeline import Timeline, VideoTrack


@dataclass(frozen=True, slots=True)
class OverlayPlacement:
    """An overlay at its place in the video. `start` and `frames` are frames of the video."""

    field: str
    """Its field in the timeline, for messages."""
    overlay: MediaOverlay | TextOverlay
    footage: MediaInfo | None
    """None for a text."""
    start: int
    frames: int
    fills_frame: bool = False
    """Whether an image or video without a size fills the frame, as on a video track."""

    @property
    def end(self) -> int:
        """The first frame after it."""
        return self.start + self.frames

    @property
    def has_audio(self) -> bool:
        """Whether its audio is part of the mix."""
        overlay = self.overlay
        if not isinstance(overlay, MediaOverlay) or self.footage is None or self.footage.still:
            return False
        return self.footage.has_sound and not overlay.mute and overlay.volume > 0


def place_overlays(timeline: Timeline, footage: Mapping[str, MediaInfo], schedule: Schedule) -> list[OverlayPlacement]:
    """Return all overlays from bottom to top.

    `footage` holds the probe results of the files, by the field names that `Timeline.media` yields. Raises BadParams
    with every overlay that starts after the end of the video.
    """
    placements = [
        *(placement for shot in schedule.shots for placement in _place_scene_overlays(shot, footage, schedule)),
        *(
            placement
            for number, track in enumerate(timeline.tracks)
            if isinstance(track, VideoTrack)
            for placement in _place_track(number, track, footage, schedule)
        ),
        *_place_global_overlays(timeline.overlays, footage, schedule),
    ]
    late = [
        Problem(
            placement.field,
            "out_of_range",
            f"it starts at {schedule.time_of(placement.start):g} s, after the end of the video",
        )
        for placement in placements
        if placement.frames <= 0
    ]
    if late:
        raise BadParams(late)
    return sorted(placements, key=lambda placement: placement.overlay.z)


def overlay_problems(timeline: Timeline, footage: Mapping[str, MediaInfo]) -> Iterator[Problem]:
    """Yield a problem for each overlay whose file has no video stream, the wrong type, or is shorter than its trim."""
    for field, overlay in _media_overlays(timeline):
        media = footage[field]
        if not media.has_picture:
            yield Problem(f"{field}.src", "no_picture", "the file has no video stream, only audio")
        elif overlay.type == "image" and not media.still:
            yield Problem(f"{field}.type", "not_an_image", "the file is a video, not an image")
        elif overlay.type == "video" and media.still:
            yield Problem(f"{field}.type", "not_a_video", "the file is an image, not a video")
        elif not media.still and overlay.trim_start >= media.length:
            message = f"trim_start is {overlay.trim_start:g} s, but the video is {media.length:g} s long"
            yield Problem(f"{field}.trimStart", "out_of_range", message)


def _media_overlays(timeline: Timeline) -> Iterator[tuple[str, MediaOverlay]]:
    lists: list[tuple[str, Sequence[Overlay]]] = [("overlays", timeline.overlays)]
    lists += [(f"scenes[{n}].overlays", scene.overlays) for n, scene in enumerate(timeline.scenes)]
    lists += [(f"tracks[{n}].clips", t.clips) for n, t in enumerate(timeline.tracks) if isinstance(t, VideoTrack)]
    for field, overlays in lists:
        for number, overlay in enumerate(overlays):
            if isinstance(overlay, MediaOverlay):
                yield f"{field}[{number}]", overlay


def _place_scene_overlays(
    shot: Shot, footage: Mapping[str, MediaInfo], schedule: Schedule
) -> Iterator[OverlayPlacement]:
    scene = shot.scene
    for number, overlay in enumerate(scene.overlays):
        field = f"scenes[{shot.number}].overlays[{number}]"
        start = shot.start + to_frames(overlay.start or 0, schedule.rate)
        yield _place(field, overlay, footage.get(field), start, shot.end, schedule.rate)
    if scene.title is not None:
        yield _place_title(shot, scene.title, schedule.rate)


def _place_title(shot: Shot, title: Title, rate: Fraction) -> OverlayPlacement:
    """Place a title. By default it is visible between the transitions of its scene, for at least one frame."""
    default_start, default_end = shot.start + shot.blend_in, shot.end - shot.blend_out
    start = default_start if title.start is None else shot.start + to_frames(title.start, rate)
    end = default_end if title.duration == "end" else min(shot.end, start + to_frames(title.duration, rate))
    frames = end - start if title.start is not None else max(1, end - start)
    return OverlayPlacement(f"scenes[{shot.number}].title", title, None, start, frames)


def _place_track(
    number: int, track: VideoTrack, footage: Mapping[str, MediaInfo], schedule: Schedule
) -> Iterator[OverlayPlacement]:
    rate, next_start = schedule.rate, 0
    for index, clip in enumerate(track.clips):
        field = f"tracks[{number}].clips[{index}]"
        media = footage.get(field)
        start = next_start if clip.start is None else to_frames(clip.start, rate)
        is_still = media is None or media.still
        # A still or text without a duration lasts to the end only if no clip follows it.
        has_default_length = clip.duration == "end" and is_still and index + 1 < len(track.clips)
        end = start + to_frames(DEFAULT_STILL_SECONDS, rate) if has_default_length else schedule.frames
        placement = _place(field, clip, media, start, min(end, schedule.frames), rate, fills_frame=True)
        next_start = placement.end
        yield placement


def _place_global_overlays(
    overlays: Sequence[Overlay], footage: Mapping[str, MediaInfo], schedule: Schedule
) -> Iterator[OverlayPlacement]:
    for number, overlay in enumerate(overlays):
        field = f"overlays[{number}]"
        start = to_frames(overlay.start or 0, schedule.rate)
        yield _place(field, overlay, footage.get(field), start, schedule.frames, schedule.rate)


def _place(
    field: str,
    overlay: MediaOverlay | TextOverlay,
    footage: MediaInfo | None,
    start: int,
    limit: int,
    rate: Fraction,
    *,
    fills_frame: bool = False,
) -> OverlayPlacement:
    """Place an overlay. It ends after its duration or with its video, at the latest at the frame `limit`."""
    end = limit
    if overlay.duration != "end":
        end = min(limit, start + max(1, to_frames(overlay.duration, rate)))
    elif isinstance(overlay, MediaOverlay) and footage is not None and not footage.still:
        seconds = (footage.length - overlay.trim_start) / overlay.speed
        end = min(limit, start + max(1, to_frames(seconds, rate)))
    return OverlayPlacement(field, overlay, footage, start, end - start, fills_frame)
