"""The audio mix of a video: the FFmpeg commands that mix the scenes' audio and the placed audio.

The audio is mixed as a whole, not per segment: separately encoded audio would click at every joint.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from callsheet.media.encoding.downmix import downmix_filters
from callsheet.media.encoding.loudness import METER
from callsheet.media.encoding.pcm import LOSSLESS_ARGS, SAMPLE_RATE
from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.inputs import audio_input, file_url
from callsheet.media.rendering.audio_placement import AudioPlacement, frame_to_sample
from callsheet.media.rendering.schedule import Schedule, Shot

MAX_INPUTS = 24
"""Maximum number of input files of one FFmpeg process. More would exhaust memory and file handles."""

Filter = tuple[str, Options]

_ATEMPO_LEAD = 864
"""Samples by which the output of `atempo` is early: most of half its window. The remaining error is about 10 ms."""

_STEREO: Filter = (
    "aformat",
    {"sample_fmts": "fltp", "sample_rates": SAMPLE_RATE, "channel_layouts": "stereo"},
)
_RESET_PTS: Filter = ("asetpts", {"expr": "PTS-STARTPTS"})


@dataclass(frozen=True, slots=True)
class MixStep:
    """One FFmpeg command of the mix. Its `output` is lossless."""

    args: list[str]
    output: Path


def has_audio(schedule: Schedule, placements: Sequence[AudioPlacement]) -> bool:
    """Return whether the video has any audio."""
    return bool(placements) or any(shot.has_audio for shot in schedule.shots)


def mix_steps(schedule: Schedule, placements: Sequence[AudioPlacement], folder: Path) -> list[MixStep]:
    """Return the FFmpeg commands that write the whole mix, in order.

    The last command also measures the loudness; the measurement is in its log at verbosity `info`.
    """
    steps: list[MixStep] = []
    mix = _MixGraph()
    base = _mix_scenes(mix, schedule, steps, folder)
    placements = [_unroll(placement, number, steps, folder) for number, placement in enumerate(placements)]
    plain, ducked = [p for p in placements if p.duck is None], [p for p in placements if p.duck is not None]
    plain = _premix(plain, steps, folder)
    base = mix.sum(base, [mix.add_placement(placement) for placement in plain])
    total = frame_to_sample(schedule.frames, schedule.rate)
    for placement in ducked:
        base = mix.add_ducked(base, placement, total)
    base = mix.graph.chain(base, ("apad", {"whole_len": total}), ("atrim", {"end_sample": total}), _STEREO)
    return [*steps, mix.step(mix.graph.raw(base, METER), folder / "mix.w64")]


def _mix_scenes(mix: "_MixGraph", schedule: Schedule, steps: list[MixStep], folder: Path) -> str:
    """Append the audio of the scenes. Too many for one process are first mixed to files, in batches."""
    batches = _batches(schedule.shots)
    if len(batches) == 1:
        return mix.add_scenes(batches[0], schedule.rate)
    overlaps: list[int] = []
    tracks: list[str] = []
    for number, shots in enumerate(batches):
        batch = _MixGraph()
        previous = batches[number - 1][-1] if number else None
        steps.append(batch.step(batch.add_scenes(shots, schedule.rate, previous), folder / f"scenes{number:03d}.w64"))
        tracks.append(mix.add_file(steps[-1].output))
        overlaps += [_overlap(shots[0], schedule.rate)] if number else []
    # Each batch has its own fades where batches overlap, so they are only added here.
    return mix.join(tracks, overlaps, ["nofade"] * len(overlaps))


def _batches(shots: Sequence[Shot]) -> list[list[Shot]]:
    batches: list[list[Shot]] = [[]]
    for shot in shots:
        if sum(s.has_audio for s in batches[-1]) >= MAX_INPUTS:
            batches.append([])
        batches[-1].append(shot)
    return batches


def _curve(shot: Shot) -> str:
    """Return the audio curve of the transition into the next scene."""
    transition = shot.scene.effective_transition
    return transition.audio_curve if transition else "tri"


def _overlap(shot: Shot, rate: Fraction) -> int:
    """Return the samples that a scene shares with the scene before."""
    return frame_to_sample(shot.start + shot.blend_in, rate) - frame_to_sample(shot.start, rate)


def _unroll(placement: AudioPlacement, number: int, steps: list[MixStep], folder: Path) -> AudioPlacement:
    """Return a placement whose looped audio is lossless, and starts where a repetition does.

    A compressed file cannot be repeated as it is: each pass would add the padding of its encoder.
    """
    if not placement.loop:
        return placement
    decode = _MixGraph()
    steps.append(decode.step(decode.add_file_range(placement), folder / f"loop{number:03d}.w64"))
    return replace(placement, path=steps[-1].output, trim_start=0.0, start_time=0.0, stream=0, layout=None)


def _premix(placements: Sequence[AudioPlacement], steps: list[MixStep], folder: Path) -> list[AudioPlacement]:
    """Return at most `MAX_INPUTS` placements of the same sum. Groups of more are mixed to files by extra steps."""
    if len(placements) <= MAX_INPUTS:
        return list(placements)
    ordered = sorted(placements, key=lambda placement: placement.start)
    premixed: list[AudioPlacement] = []
    for first in range(0, len(ordered), MAX_INPUTS):
        group = ordered[first : first + MAX_INPUTS]
        start, end = group[0].start, max(placement.end for placement in group)
        batch = _MixGraph()
        tracks = [batch.add_placement(placement, origin=start) for placement in group]
        mixed = batch.graph.add("apad", batch.sum(tracks[0], tracks[1:]), whole_len=end - start)
        steps.append(batch.step(mixed, folder / f"sounds{len(premixed):03d}.w64"))
        premixed.append(AudioPlacement(steps[-1].output, start, end - start))
    return _premix(premixed, steps, folder) if len(premixed) > MAX_INPUTS else premixed


class _MixGraph:
    """Builder of one mix command: its inputs and its filter graph."""

    def __init__(self) -> None:
        self.graph = FilterGraph()
        self._args: list[str] = []
        self._inputs = 0

    def step(self, mix: str, output: Path) -> MixStep:
        """Return the command that writes the mix."""
        # Without -copyts, FFmpeg starts the audio of a transport stream at 0, however much earlier its video starts.
        args = ["-copyts", *self._args, "-filter_complex", str(self.graph), "-map", f"[{mix}]", "-vn", *LOSSLESS_ARGS]
        return MixStep([*args, file_url(output)], output)

    def add_file(self, path: Path) -> str:
        """Append a lossless file that a previous step wrote."""
        return self.graph.chain(self._add_input(["-i", file_url(path)]), _STEREO)

    def add_file_range(self, placement: AudioPlacement) -> str:
        """Append the audio of a placement from its trim start to the end of its file, in stereo."""
        args, _ = audio_input(placement.path, placement.trim_start)
        stream = self._add_input(args, placement.stream)
        start = _start_at(placement.start_time + placement.trim_start)
        trim = [] if placement.pass_length is None else [_trim(placement.pass_length)]
        return self.graph.chain(stream, start, _fill_gaps(), *downmix_filters(placement.layout), _STEREO, *trim)

    def add_scenes(self, shots: Sequence[Shot], rate: Fraction, previous: Shot | None = None) -> str:
        """Append the audio of consecutive scenes, faded at both ends where scenes of other batches overlap."""
        tracks = [self._add_scene(shot, rate) for shot in shots]
        first, last = shots[0], shots[-1]
        if previous is not None and first.blend_in:
            tracks[0] = self.graph.add("afade", tracks[0], t="in", ns=_overlap(first, rate), curve=_curve(previous))
        if last.blend_out:
            length = frame_to_sample(last.end, rate) - frame_to_sample(last.start, rate)
            overlap = length - (frame_to_sample(last.end - last.blend_out, rate) - frame_to_sample(last.start, rate))
            fade: Options = {"t": "out", "ss": length - overlap, "ns": overlap, "curve": _curve(last)}
            tracks[-1] = self.graph.add("afade", tracks[-1], **fade)
        curves = [_curve(shot) for shot in shots[:-1]]
        return self.join(tracks, [_overlap(shot, rate) for shot in shots[1:]], curves)

    def add_placement(self, placement: AudioPlacement, origin: int = 0) -> str:
        """Append placed audio, delayed to its start. `origin` is the sample at which the mix begins."""
        length = placement.length / SAMPLE_RATE * placement.speed + 0.1
        loop = ["-stream_loop", "-1"] if placement.loop else []
        args, _ = audio_input(placement.path, placement.trim_start, length)
        stream = self._add_input([*loop, *args], placement.stream)
        track = self.graph.chain(
            stream,
            _start_at(placement.start_time + placement.trim_start),
            _fill_gaps(),
            *downmix_filters(placement.layout),
            _STEREO,
            *_tempo(placement.speed),
            _trim(placement.length),
            _RESET_PTS,
            *_volume(placement.volume),
            *_fades(placement.fade_in, placement.fade_out, placement.length),
        )
        delay = placement.start - origin
        return self.graph.add("adelay", track, delays=f"{delay}S", all=1) if delay else track

    def sum(self, base: str, tracks: Sequence[str]) -> str:
        """Append the sum of tracks. It is as long as the longest track."""
        if not tracks:
            return base
        return self.graph.add("amix", base, *tracks, inputs=len(tracks) + 1, duration="longest", normalize=0)

    def add_ducked(self, base: str, placement: AudioPlacement, total: int) -> str:
        """Append audio whose volume is reduced while the base is loud (sidechain compression)."""
        assert placement.duck is not None  # noqa: S101 - the caller passes only ducked audio
        mix, sidechain = self.graph.split("asplit", self.graph.add("apad", base, whole_len=total))
        track = self.graph.add("apad", self.add_placement(placement), whole_len=total)
        duck = placement.duck
        compressor: Options = {"threshold": duck.threshold, "ratio": duck.ratio, "attack": 20, "release": 400}
        return self.sum(mix, [self.graph.add("sidechaincompress", track, sidechain, **compressor)])

    def join(self, tracks: Sequence[str], overlaps: Sequence[int], curves: Sequence[str]) -> str:
        """Append tracks one after another. `overlaps` and `curves` describe the cross-fade at each joint.

        Consecutive tracks without an overlap are joined by one `concat` filter.
        """
        groups: list[list[str]] = [[tracks[0]]]
        crossfades: list[tuple[int, str]] = []
        for track, overlap, curve in zip(tracks[1:], overlaps, curves, strict=True):
            if overlap:
                crossfades.append((overlap, curve))
                groups.append([track])
            else:
                groups[-1].append(track)
        joined = [group[0] if len(group) == 1 else self._concat(group) for group in groups]
        mix = joined[0]
        for track, (overlap, curve) in zip(joined[1:], crossfades, strict=True):
            mix = self.graph.add("acrossfade", mix, track, ns=overlap, c1=curve, c2=curve)
        return mix

    def _concat(self, tracks: list[str]) -> str:
        return self.graph.add("concat", *tracks, n=len(tracks), v=0, a=1)

    def _add_scene(self, shot: Shot, rate: Fraction) -> str:
        count = frame_to_sample(shot.end, rate) - frame_to_sample(shot.start, rate)
        sound = shot.sound
        if sound is None:
            silence = self.graph.add("anullsrc", r=SAMPLE_RATE, cl="stereo")
            return self.graph.chain(silence, _trim(count), _STEREO)
        scene = shot.scene
        length = float(shot.frames / rate) * scene.speed + 0.1
        if scene.trim_end is not None:
            length = min(length, scene.trim_end - scene.trim_start)
        args, _ = audio_input(sound.path, scene.trim_start, length)
        stream = self._add_input(args, sound.audio.index)
        return self.graph.chain(
            stream,
            _start_at(sound.start + scene.trim_start),
            _fill_gaps(),
            *downmix_filters(sound.audio_layout),
            _STEREO,
            *_tempo(scene.speed),
            *_volume(scene.volume),
            ("apad", {"whole_len": count}),
            _trim(count),
            _RESET_PTS,
            *_fades(scene.fade_in, scene.fade_out, count),
        )

    def _add_input(self, args: list[str], stream: int = 0) -> str:
        self._args += args
        self._inputs += 1
        return f"{self._inputs - 1}:{stream}"


def _start_at(seconds: float) -> Filter:
    """Return the filter that shifts the timestamp `seconds` to 0."""
    return "asetpts", {"expr": f"PTS-{Fraction(seconds).limit_denominator(10**6)}/TB"}


def _fill_gaps() -> Filter:
    # Audio that begins later than the video keeps its offset, and gaps are filled with silence.
    return "aresample", {"osr": SAMPLE_RATE, "async": 1, "first_pts": 0}


def _trim(count: int) -> Filter:
    return "atrim", {"end_sample": count}


def _volume(volume: float) -> Iterator[Filter]:
    if volume != 1:
        yield "volume", {"volume": volume}


def _tempo(speed: float) -> Iterator[Filter]:
    """Yield the filters for a speed. A single `atempo` outside 0.5 to 2 would skip or repeat audibly."""
    while speed > 2:
        yield from _atempo(2)
        speed /= 2
    while speed < 0.5:
        yield from _atempo(0.5)
        speed *= 2
    if speed != 1:
        yield from _atempo(speed)


def _atempo(tempo: float) -> Iterator[Filter]:
    # The output of atempo is early by the same number of input samples at any tempo. The delay compensates.
    yield "adelay", {"delays": f"{_ATEMPO_LEAD}S", "all": 1}
    yield "atempo", {"tempo": tempo}


def _fades(fade_in: float, fade_out: float, length: int) -> Iterator[Filter]:
    in_samples, out_samples = (min(length, round(seconds * SAMPLE_RATE)) for seconds in (fade_in, fade_out))
    if in_samples:
        yield "afade", {"t": "in", "ns": in_samples}
    if out_samples:
        yield "afade", {"t": "out", "ss": length - out_samples, "ns": out_samples}
