"""The sound of a film, made in one piece: cut audio would click at every joint."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.domain.errors import Problem
from callsheet.media.encoding.loudness import METER
from callsheet.media.encoding.pcm import LOSSLESS_ARGS, sample_at
from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.schedule import Schedule, Shot
from callsheet.media.timeline.audio import AudioClip, Duck, Soundtrack
from callsheet.media.timeline.overlay import PictureOverlay
from callsheet.media.timeline.timeline import AudioTrack, Timeline

RATE = 48_000

MOST_AT_ONCE = 24
"""Files that one process reads; more would use up memory and file handles."""

Filter = tuple[str, Options]

_TEMPO_LEAD = 864
"""Samples by which `atempo` runs ahead: most of half the window that it works in. What is left is some 10 ms."""

_STEREO: Filter = (
    "aformat",
    {"sample_fmts": "fltp", "sample_rates": RATE, "channel_layouts": "stereo"},
)
_END: Filter = ("asetpts", {"expr": "PTS-STARTPTS"})


@dataclass(frozen=True, slots=True)
class AudioPlacement:
    """Something that is heard besides the scenes, in its place. `start` and `length` are samples."""

    path: Path
    start: int
    length: int
    trim_start: float = 0.0
    speed: float = 1.0
    volume: float = 1.0
    fade_in: float = 0.0
    fade_out: float = 0.0
    loop: bool = False
    duck: Duck | None = None
    begins: float = 0.0
    """What the file's own clock shows at its beginning, in seconds."""

    @property
    def end(self) -> int:
        """The sample after its last."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Step:
    """One run of FFmpeg; its `output` is lossless."""

    arguments: list[str]
    output: Path


def collect_audio(
    timeline: Timeline, footage: Mapping[str, MediaInfo], layers: Sequence[Layer], plan: Schedule
) -> list[AudioPlacement]:
    """Return everything that is heard besides the scenes.

    `footage` is what was found in the files, by the names that `Timeline.media` gives.
    """
    sounds = [_of_layer(layer, plan.rate) for layer in layers if layer.sounds]
    sounds += [sound for _, sound in _clips(timeline, footage, plan)]
    if timeline.soundtrack is not None:
        sounds.append(_under_all(timeline.soundtrack, footage["soundtrack"], plan))
    return [sound for sound in sounds if sound.length > 0 and sound.volume > 0]


def audio_problems(timeline: Timeline, footage: Mapping[str, MediaInfo]) -> Iterator[Problem]:
    """Yield what is wrong with the files of sounds."""
    fields: dict[str, Soundtrack] = {
        f"tracks[{n}].clips[{c}]": clip for n, track in _audio_tracks(timeline) for c, clip in enumerate(track.clips)
    }
    fields |= {f"audioClips[{number}]": clip for number, clip in enumerate(timeline.audio_clips)}
    fields |= {"soundtrack": timeline.soundtrack} if timeline.soundtrack is not None else {}
    for where, given in fields.items():
        found = footage[where]
        if not found.has_audio:
            yield Problem(f"{where}.src", "no_sound", "there is no sound in this file")
        elif given.trim_start and _plays(given, found) == 0:
            message = f"trim_start is {given.trim_start:g} s, but the file is {found.probe.duration or 0:g} s long"
            yield Problem(f"{where}.trimStart", "out_of_range", message)


def late(timeline: Timeline, footage: Mapping[str, MediaInfo], plan: Schedule) -> Iterator[Problem]:
    """Yield what would be heard only after the film."""
    whole = samples(plan.frames, plan.rate)
    for where, sound in _clips(timeline, footage, plan):
        if sound.start >= whole:
            yield Problem(where, "out_of_range", f"it starts at {sound.start / RATE:g} s, when all is over")


def has_sound(plan: Schedule, sounds: Sequence[AudioPlacement]) -> bool:
    """Tell whether anything in the film is heard."""
    return bool(sounds) or any(shot.sounds for shot in plan.shots)


def steps(plan: Schedule, sounds: Sequence[AudioPlacement], folder: Path) -> list[Step]:
    """Return the runs that write the whole sound; the last one measures it on the way, at verbosity `info`."""
    made: list[Step] = []
    mixing = _Mix()
    base = _scenes(mixing, plan, made, folder)
    plain, ducked = [s for s in sounds if s.duck is None], [s for s in sounds if s.duck is not None]
    plain = _gathered(plain, made, folder)
    base = mixing.over(base, [mixing.sound(sound) for sound in plain])
    whole = samples(plan.frames, plan.rate)
    for sound in ducked:
        base = mixing.ducked(base, sound, whole)
    base = mixing.graph.chain(base, ("apad", {"whole_len": whole}), ("atrim", {"end_sample": whole}), _STEREO)
    return [*made, mixing.step(mixing.graph.raw(base, METER), folder / "mix.w64")]


def samples(frame: int, rate: Fraction) -> int:
    """Return the sample that belongs to the beginning of a frame."""
    return sample_at(frame / rate)


def _audio_tracks(timeline: Timeline) -> Iterator[tuple[int, AudioTrack]]:
    return ((number, track) for number, track in enumerate(timeline.tracks) if isinstance(track, AudioTrack))


def _of_layer(layer: Layer, rate: Fraction) -> AudioPlacement:
    overlay = layer.overlay
    assert isinstance(overlay, PictureOverlay) and layer.footage is not None  # noqa: S101 - only videos sound
    start = samples(layer.start, rate)
    return AudioPlacement(
        layer.footage.path,
        start,
        samples(layer.end, rate) - start,
        trim_start=overlay.trim_start,
        speed=overlay.speed,
        volume=overlay.volume,
        fade_in=overlay.fade_in,
        fade_out=overlay.fade_out,
        begins=layer.footage.start,
    )


def _clips(
    timeline: Timeline, footage: Mapping[str, MediaInfo], plan: Schedule
) -> Iterator[tuple[str, AudioPlacement]]:
    """Yield what is heard at times of its own, with the field that it was given in."""
    for number, track in _audio_tracks(timeline):
        for index, sound in enumerate(_of_track(number, track, footage, plan)):
            yield f"tracks[{number}].clips[{index}]", sound
    for number, clip in enumerate(timeline.audio_clips):
        where = f"audioClips[{number}]"
        yield where, _placed(clip, footage[where], 0, plan)


def _of_track(
    number: int, track: AudioTrack, footage: Mapping[str, MediaInfo], plan: Schedule
) -> Iterator[AudioPlacement]:
    following = 0
    for index, clip in enumerate(track.clips):
        sound = _placed(clip, footage[f"tracks[{number}].clips[{index}]"], following, plan, track.volume)
        following = sound.end
        yield sound


def _placed(clip: AudioClip, found: MediaInfo, usual: int, plan: Schedule, volume: float = 1.0) -> AudioPlacement:
    start = usual if clip.start is None else round(clip.start * RATE)
    rest = samples(plan.frames, plan.rate) - start
    length = rest if clip.duration == "end" else min(rest, round(clip.duration * RATE))
    if not clip.loop:
        length = min(length, round(_plays(clip, found) / clip.speed))
    return AudioPlacement(
        found.path,
        start,
        max(0, length),
        trim_start=clip.trim_start,
        speed=clip.speed,
        volume=clip.volume * volume,
        fade_in=clip.fade_in,
        fade_out=clip.fade_out,
        loop=clip.loop,
        duck=clip.duck,
        begins=found.start,
    )


def _plays(track: Soundtrack, found: MediaInfo) -> int:
    """Return how many samples there are from its beginning to the end of the file."""
    return max(0, round(((found.probe.duration or 0) - track.trim_start) * RATE))


def _under_all(track: Soundtrack, found: MediaInfo, plan: Schedule) -> AudioPlacement:
    length = samples(plan.frames, plan.rate)
    if not track.loop:
        length = min(length, _plays(track, found))
    return AudioPlacement(
        found.path,
        0,
        length,
        trim_start=track.trim_start,
        volume=track.volume,
        fade_in=track.fade_in,
        fade_out=track.fade_out,
        loop=track.loop,
        duck=track.duck,
        begins=found.start,
    )


def _scenes(mixing: "_Mix", plan: Schedule, made: list[Step], folder: Path) -> str:
    """Append the sound of the scenes; where they are too many for one process, by way of files."""
    batches = _batches(plan.shots)
    if len(batches) == 1:
        return mixing.scenes(batches[0], plan.rate)
    blends: list[int] = []
    parts: list[str] = []
    for number, shots in enumerate(batches):
        part = _Mix()
        before = batches[number - 1][-1] if number else None
        made.append(part.step(part.scenes(shots, plan.rate, before), folder / f"scenes{number:03d}.w64"))
        parts.append(mixing.file(made[-1].output))
        blends += [_overlap(shots[0], plan.rate)] if number else []
    # Each faded out and in by itself where they overlap, so here they are only added.
    return mixing.joined(parts, blends, ["nofade"] * len(blends))


def _batches(shots: Sequence[Shot]) -> list[list[Shot]]:
    batches: list[list[Shot]] = [[]]
    for shot in shots:
        if sum(s.sounds for s in batches[-1]) >= MOST_AT_ONCE:
            batches.append([])
        batches[-1].append(shot)
    return batches


def _curve(shot: Shot) -> str:
    """Return how the sound of a scene passes into that of the next."""
    return shot.scene.passing.audio_curve if shot.scene.passing else "tri"


def _overlap(shot: Shot, rate: Fraction) -> int:
    return samples(shot.start + shot.blend_in, rate) - samples(shot.start, rate)


def _gathered(sounds: Sequence[AudioPlacement], made: list[Step], folder: Path) -> list[AudioPlacement]:
    """Return few sounds that are heard like the many."""
    if len(sounds) <= MOST_AT_ONCE:
        return list(sounds)
    ordered = sorted(sounds, key=lambda sound: sound.start)
    fewer: list[AudioPlacement] = []
    for first in range(0, len(ordered), MOST_AT_ONCE):
        group = ordered[first : first + MOST_AT_ONCE]
        start, end = group[0].start, max(sound.end for sound in group)
        part = _Mix()
        tracks = [part.sound(sound, before=start) for sound in group]
        mix = part.graph.add("apad", part.over(tracks[0], tracks[1:]), whole_len=end - start)
        made.append(part.step(mix, folder / f"sounds{len(fewer):03d}.w64"))
        fewer.append(AudioPlacement(made[-1].output, start, end - start))
    return _gathered(fewer, made, folder) if len(fewer) > MOST_AT_ONCE else fewer


class _Mix:
    """A mix under construction: its inputs and its filters."""

    def __init__(self) -> None:
        self.graph = FilterGraph()
        self._words: list[str] = []
        self._inputs = 0

    def step(self, mix: str, output: Path) -> Step:
        """Return the run that writes the mix."""
        # By itself, FFmpeg lets the sound of a transport stream begin at once, however much earlier its picture does.
        words = ["-copyts", *self._words, "-filter_complex", str(self.graph), "-map", f"[{mix}]", "-vn", *LOSSLESS_ARGS]
        return Step([*words, file_url(output)], output)

    def file(self, path: Path) -> str:
        """Append a lossless file of ours."""
        return self.graph.chain(self._read(["-i", file_url(path)]), _STEREO)

    def scenes(self, shots: Sequence[Shot], rate: Fraction, before: Shot | None = None) -> str:
        """Append the sound of scenes that follow each other, faded at the ends where others overlap them."""
        tracks = [self._scene(shot, rate) for shot in shots]
        first, last = shots[0], shots[-1]
        if before is not None and first.blend_in:
            tracks[0] = self.graph.add("afade", tracks[0], t="in", ns=_overlap(first, rate), curve=_curve(before))
        if last.blend_out:
            length = samples(last.end, rate) - samples(last.start, rate)
            passing = length - (samples(last.end - last.blend_out, rate) - samples(last.start, rate))
            fade: Options = {"t": "out", "ss": length - passing, "ns": passing, "curve": _curve(last)}
            tracks[-1] = self.graph.add("afade", tracks[-1], **fade)
        return self._in_order(tracks, shots, rate)

    def sound(self, sound: AudioPlacement, before: int = 0) -> str:
        """Append something that is heard at its own time, counted from the sample `before`."""
        length = sound.length / RATE * sound.speed + 0.1
        loop = ["-stream_loop", "-1"] if sound.loop else []
        stream = self._read([*loop, *media_input(sound.path, start=sound.trim_start or None, length=length)])
        fades = [*_fades(sound.fade_in, sound.fade_out, sound.length)]
        changes = [*_tempo(sound.speed), _cut(sound.length), _END, *_volume(sound.volume), *fades]
        track = self.graph.chain(stream, _counted_from(sound.begins + sound.trim_start), _evened(), _STEREO, *changes)
        delay = sound.start - before
        return self.graph.add("adelay", track, delays=f"{delay}S", all=1) if delay else track

    def over(self, base: str, tracks: Sequence[str]) -> str:
        """Append the sum of tracks; it is as long as the longest."""
        if not tracks:
            return base
        return self.graph.add("amix", base, *tracks, inputs=len(tracks) + 1, duration="longest", normalize=0)

    def ducked(self, base: str, sound: AudioPlacement, whole: int) -> str:
        """Append a sound that steps back while there is something to hear in the base."""
        assert sound.duck is not None  # noqa: S101 - told by the caller
        mix, heard = self.graph.split("asplit", self.graph.add("apad", base, whole_len=whole))
        track = self.graph.add("apad", self.sound(sound), whole_len=whole)
        by: Options = {"threshold": sound.duck.threshold, "ratio": sound.duck.ratio, "attack": 20, "release": 400}
        return self.over(mix, [self.graph.add("sidechaincompress", track, heard, **by)])

    def joined(self, parts: Sequence[str], blends: Sequence[int], curves: Sequence[str]) -> str:
        """Join tracks that overlap by some samples, or not at all; neighbours of the latter kind are joined at once."""
        groups: list[list[str]] = [[parts[0]]]
        passing: list[tuple[int, str]] = []
        for part, blend, curve in zip(parts[1:], blends, curves, strict=True):
            if blend:
                passing.append((blend, curve))
                groups.append([part])
            else:
                groups[-1].append(part)
        rows = [group[0] if len(group) == 1 else self._in_a_row(group) for group in groups]
        mix = rows[0]
        for row, (blend, curve) in zip(rows[1:], passing, strict=True):
            mix = self.graph.add("acrossfade", mix, row, ns=blend, c1=curve, c2=curve)
        return mix

    def _in_a_row(self, tracks: list[str]) -> str:
        return self.graph.add("concat", *tracks, n=len(tracks), v=0, a=1)

    def _in_order(self, tracks: list[str], shots: Sequence[Shot], rate: Fraction) -> str:
        curves = [_curve(shot) for shot in shots[:-1]]
        return self.joined(tracks, [_overlap(shot, rate) for shot in shots[1:]], curves)

    def _scene(self, shot: Shot, rate: Fraction) -> str:
        count = samples(shot.end, rate) - samples(shot.start, rate)
        if not shot.sounds or shot.footage is None:
            silence = self.graph.add("anullsrc", r=RATE, cl="stereo")
            return self.graph.chain(silence, _cut(count), _STEREO)
        scene = shot.scene
        length = float(shot.frames / rate) * scene.speed + 0.1
        if scene.trim_end is not None:
            length = min(length, scene.trim_end - scene.trim_start)
        stream = self._read(media_input(shot.footage.path, start=scene.trim_start or None, length=length))
        fades = [*_fades(scene.fade_in, scene.fade_out, count)]
        whole: Filter = ("apad", {"whole_len": count})
        changes = [*_tempo(scene.speed), *_volume(scene.volume), whole, _cut(count), _END]
        counted = _counted_from(shot.footage.start + scene.trim_start)
        return self.graph.chain(stream, counted, _evened(), _STEREO, *changes, *fades)

    def _read(self, words: list[str]) -> str:
        self._words += words
        self._inputs += 1
        return f"{self._inputs - 1}:a:0"


def _counted_from(seconds: float) -> Filter:
    return "asetpts", {"expr": f"PTS-{Fraction(seconds).limit_denominator(10**6)}/TB"}


def _evened() -> Filter:
    # Sound that begins later than the picture keeps its distance, gaps are filled.
    return "aresample", {"osr": RATE, "async": 1, "first_pts": 0}


def _cut(count: int) -> Filter:
    return "atrim", {"end_sample": count}


def _volume(volume: float) -> Iterator[Filter]:
    if volume != 1:
        yield "volume", {"volume": volume}


def _tempo(speed: float) -> Iterator[Filter]:
    """Yield the filters for a speed: beyond twice and half, one alone would skip or repeat audibly."""
    while speed > 2:
        yield from _stretched(2)
        speed /= 2
    while speed < 0.5:
        yield from _stretched(0.5)
        speed *= 2
    if speed != 1:
        yield from _stretched(speed)


def _stretched(speed: float) -> Iterator[Filter]:
    # The filter lets everything be heard early, at any speed by as much of what it is given.
    yield "adelay", {"delays": f"{_TEMPO_LEAD}S", "all": 1}
    yield "atempo", {"tempo": speed}


def _fades(fade_in: float, fade_out: float, length: int) -> Iterator[Filter]:
    appearing, disappearing = (min(length, round(seconds * RATE)) for seconds in (fade_in, fade_out))
    if appearing:
        yield "afade", {"t": "in", "ns": appearing}
    if disappearing:
        yield "afade", {"t": "out", "ss": length - disappearing, "ns": disappearing}
