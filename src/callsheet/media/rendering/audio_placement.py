"""Placement of audio on the timeline: overlays with audio, audio clips and the soundtrack, in samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.domain.errors import Problem
from callsheet.media.encoding.pcm import SAMPLE_RATE, sample_at
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.rendering.schedule import Schedule
from callsheet.media.timeline.audio import AudioClip, Ducking, Soundtrack
from callsheet.media.timeline.overlay import MediaOverlay
from callsheet.media.timeline.timeline import AudioTrack, Timeline


@dataclass(frozen=True, slots=True)
class AudioPlacement:
    """Audio at its place in the video, besides the audio of the scenes. `start` and `length` are samples."""

    path: Path
    start: int
    length: int
    trim_start: float = 0.0
    speed: float = 1.0
    volume: float = 1.0
    fade_in: float = 0.0
    fade_out: float = 0.0
    loop: bool = False
    """Whether the audio is shorter than `length`, and repeated."""
    duck: Ducking | None = None
    start_time: float = 0.0
    """First timestamp of the file, in seconds."""
    stream: int = 0
    """Index of the audio stream in the file."""
    layout: str | None = None
    """Channel layout of the audio."""
    pass_length: int | None = None
    """Samples of one repetition. None: up to the end of the file."""

    @property
    def end(self) -> int:
        """The first sample after it."""
        return self.start + self.length


def place_audio(
    timeline: Timeline,
    footage: Mapping[str, MediaInfo],
    overlays: Sequence[OverlayPlacement],
    schedule: Schedule,
) -> list[AudioPlacement]:
    """Return all audible audio besides the audio of the scenes.

    `footage` holds the probe results of the files, by the field names that `Timeline.media` yields.
    """
    placements = [_overlay_audio(overlay, schedule.rate) for overlay in overlays if overlay.has_audio]
    placements += [placement for _, placement in _place_clips(timeline, footage, schedule)]
    if timeline.soundtrack is not None:
        placements.append(_place_soundtrack(timeline.soundtrack, footage["soundtrack"], schedule))
    return [placement for placement in placements if placement.length > 0 and placement.volume > 0]


def audio_problems(timeline: Timeline, footage: Mapping[str, MediaInfo]) -> Iterator[Problem]:
    """Yield a problem for each audio clip whose file has no audio, or ends before the clip's trim start."""
    clips: dict[str, Soundtrack] = {
        f"tracks[{n}].clips[{c}]": clip for n, track in _audio_tracks(timeline) for c, clip in enumerate(track.clips)
    }
    clips |= {f"audioClips[{number}]": clip for number, clip in enumerate(timeline.audio_clips)}
    clips |= {"soundtrack": timeline.soundtrack} if timeline.soundtrack is not None else {}
    for field, clip in clips.items():
        media = footage[field]
        if not media.has_audio:
            yield Problem(f"{field}.src", "no_sound", "the file has no audio stream")
        elif clip.trim_start and _remaining_samples(clip, media) == 0:
            message = f"trim_start is {clip.trim_start:g} s, but the file is {media.probe.duration or 0:g} s long"
            yield Problem(f"{field}.trimStart", "out_of_range", message)


def late_audio_problems(timeline: Timeline, footage: Mapping[str, MediaInfo], schedule: Schedule) -> Iterator[Problem]:
    """Yield a problem for each audio clip that starts after the end of the video."""
    total = frame_to_sample(schedule.frames, schedule.rate)
    for field, placement in _place_clips(timeline, footage, schedule):
        if placement.start >= total:
            start = placement.start / SAMPLE_RATE
            yield Problem(field, "out_of_range", f"it starts at {start:g} s, after the end of the video")


def frame_to_sample(frame: int, rate: Fraction) -> int:
    """Return the audio sample at the start of a video frame. `rate` is in frames per second."""
    return sample_at(frame / rate)


def _audio_tracks(timeline: Timeline) -> Iterator[tuple[int, AudioTrack]]:
    return ((number, track) for number, track in enumerate(timeline.tracks) if isinstance(track, AudioTrack))


def _overlay_audio(placement: OverlayPlacement, rate: Fraction) -> AudioPlacement:
    overlay = placement.overlay
    assert isinstance(overlay, MediaOverlay) and placement.footage is not None  # noqa: S101 - only videos have audio
    start = frame_to_sample(placement.start, rate)
    return AudioPlacement(
        placement.footage.path,
        start,
        frame_to_sample(placement.end, rate) - start,
        trim_start=overlay.trim_start,
        speed=overlay.speed,
        volume=overlay.volume,
        fade_in=overlay.fade_in,
        fade_out=overlay.fade_out,
        start_time=placement.footage.start,
        stream=placement.footage.audio.index,
        layout=placement.footage.audio_layout,
    )


def _place_clips(
    timeline: Timeline, footage: Mapping[str, MediaInfo], schedule: Schedule
) -> Iterator[tuple[str, AudioPlacement]]:
    """Yield the clips of audio tracks and the audio clips, each with its field name."""
    for number, track in _audio_tracks(timeline):
        for index, placement in enumerate(_place_track(number, track, footage, schedule)):
            yield f"tracks[{number}].clips[{index}]", placement
    for number, clip in enumerate(timeline.audio_clips):
        field = f"audioClips[{number}]"
        yield field, _place_clip(clip, footage[field], 0, schedule)


def _place_track(
    number: int, track: AudioTrack, footage: Mapping[str, MediaInfo], schedule: Schedule
) -> Iterator[AudioPlacement]:
    next_start = 0
    for index, clip in enumerate(track.clips):
        media = footage[f"tracks[{number}].clips[{index}]"]
        placement = _place_clip(clip, media, next_start, schedule, track.volume)
        next_start = placement.end
        yield placement


def _place_clip(
    clip: AudioClip, media: MediaInfo, default_start: int, schedule: Schedule, track_volume: float = 1.0
) -> AudioPlacement:
    start = default_start if clip.start is None else round(clip.start * SAMPLE_RATE)
    remaining = frame_to_sample(schedule.frames, schedule.rate) - start
    length = remaining if clip.duration == "end" else min(remaining, round(clip.duration * SAMPLE_RATE))
    available = round(_remaining_samples(clip, media) / clip.speed)
    if not clip.loop:
        length = min(length, available)
    return AudioPlacement(
        media.path,
        start,
        max(0, length),
        trim_start=clip.trim_start,
        speed=clip.speed,
        volume=clip.volume * track_volume,
        fade_in=clip.fade_in,
        fade_out=clip.fade_out,
        loop=clip.loop and length > available,
        duck=clip.duck,
        start_time=media.start,
        stream=media.audio.index,
        layout=media.audio_layout,
        pass_length=_pass_length(clip, media),
    )


def _pass_length(clip: Soundtrack, media: MediaInfo) -> int | None:
    """Return the samples from the trim start to the exact end of the audio; None if the file does not state it."""
    end = media.audio_end(media.audio)
    return None if end is None else max(0, round((end - clip.trim_start) * SAMPLE_RATE))


def _remaining_samples(clip: Soundtrack, media: MediaInfo) -> int:
    """Return the number of samples from the trim start to the end of the file."""
    return max(0, round(((media.probe.duration or 0) - clip.trim_start) * SAMPLE_RATE))


def _place_soundtrack(soundtrack: Soundtrack, media: MediaInfo, schedule: Schedule) -> AudioPlacement:
    length = frame_to_sample(schedule.frames, schedule.rate)
    available = _remaining_samples(soundtrack, media)
    if not soundtrack.loop:
        length = min(length, available)
    return AudioPlacement(
        media.path,
        0,
        length,
        trim_start=soundtrack.trim_start,
        volume=soundtrack.volume,
        fade_in=soundtrack.fade_in,
        fade_out=soundtrack.fade_out,
        loop=soundtrack.loop and length > available,
        duck=soundtrack.duck,
        start_time=media.start,
        stream=media.audio.index,
        layout=media.audio_layout,
        pass_length=_pass_length(soundtrack, media),
    )
