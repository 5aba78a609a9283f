"""Renders of random timelines, compared with a second, independent implementation of the timeline rules.

The clips are black except for a white flash with a beep. So the expected brightness is known for nearly every frame,
and the expected start for every beep.
"""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from media.studio import FakeContext, Studio

from callsheet.domain.plan_validation import validate_params
from callsheet.media.encoding.loudness import measure
from callsheet.operations.render import render

EXAMPLES = 14

FLASH = (0.5, 0.7)
LENGTH = 1.2
PITCH = 3000
CENTER, CORNER, BOTTOM = (slice(26, 38), slice(26, 38)), (slice(1, 9), slice(1, 9)), (slice(46, 64), slice(8, 56))
"""Regions of a 64x64 frame in which flashes, overlays and captions are checked."""


@dataclass(frozen=True)
class Clip:
    """A source: a video with a flash, or an image."""

    size: str = "64x64"
    rate: int = 30
    beeps: bool = True
    still: str | None = None

    @property
    def length(self) -> float:
        """Length in seconds; a whole number of frames."""
        return math.ceil(round(LENGTH * self.rate, 6)) / self.rate

    def make(self, studio: Studio) -> Path:
        if self.still:
            return studio.still(f"{self.still}.png", f"color={self.still}:size={self.size}")
        name = f"{self.size}-{self.rate}-{self.beeps}.mp4"
        source = f"color=black:size={self.size}:rate={self.rate},geq=lum='16+219*between(T,{FLASH[0]},{FLASH[1]})'"
        beep = f"aevalsrc='0.5*sin(2*PI*{PITCH}*t)*between(t,{FLASH[0]},{FLASH[1]})':s=48000"
        return studio.clip(
            name,
            f"{source}:cb=128:cr=128",
            seconds=LENGTH,
            sound=beep if self.beeps else None,
            pixels="yuv444p" if self.size == "161x97" else "yuv420p",
        )


CLIPS = [
    Clip(),
    Clip(rate=25),
    Clip("96x54", 50),
    Clip("54x96", 60),
    Clip("161x97", 30, beeps=False),
    Clip("96x54", 24),
    Clip("80x60", still="white"),
    Clip("60x80", still="black"),
]


# Random timelines


def hundredths(minimum: int, maximum: int) -> st.SearchStrategy[float]:
    return st.integers(minimum, maximum).map(lambda n: n / 100)


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    scene: dict[str, Any] = {}
    kind = draw(st.integers(-2, len(CLIPS) - 1))
    if kind < 0:
        scene = {"color": ["#000000", "#ffffff"][kind], "duration": draw(hundredths(70, 120))}
    elif CLIPS[kind].still:
        scene = {"src": kind, "duration": draw(hundredths(70, 120))}
        scene |= {"motion": draw(st.sampled_from(["zoom_in", "pan_left"]))} if draw(st.booleans()) else {}
    else:
        scene = {"src": kind, "trimStart": draw(hundredths(0, 40)), "speed": draw(st.sampled_from([1, 1, 0.5, 1.3, 2]))}
        scene |= draw(st.sampled_from([{}, {"duration": 0.8}, {"duration": 1.5}, {"trimEnd": 1.1}, {"mute": True}]))
        scene |= {"fit": draw(st.sampled_from(["cover", "contain", "contain_blur", "fill"]))}
    scene |= draw(st.sampled_from([{}, {}, {"fadeIn": 0.1}, {"fadeOut": 0.1}, {"title": {"text": "Hi", "size": 9}}]))
    transition = draw(st.sampled_from([None, None, "fade", "wipeleft", "circleopen"]))
    scene |= {"transition": {"type": transition, "duration": draw(hundredths(1, 15))}} if transition else {}
    return scene


@st.composite
def timelines(draw: st.DrawFn) -> dict[str, Any]:
    row = [draw(scenes()) for _ in range(draw(st.integers(1, 4)))]
    row[-1].pop("transition", None)
    fps = draw(st.sampled_from([30, 25, 24, 50, "30000/1001"]))
    timeline: dict[str, Any] = {"scenes": row, "output": {"fps": fps, "width": 64, "height": 64, "crf": 5}}
    if draw(st.booleans()):
        placed = {"start": draw(hundredths(0, 30)), "duration": draw(hundredths(10, 40))}
        timeline["overlays"] = [{"src": 6, "width": 12, "height": 12, "fit": "fill", "position": "top_left", **placed}]
    if draw(st.booleans()):
        cue = {"start": draw(hundredths(0, 20)), "end": draw(hundredths(30, 70)), "text": "A caption"}
        timeline["captions"] = {"cues": [cue], "style": {"fontSize": 12, "margin": 3}}
    if draw(st.booleans()):
        timeline["soundtrack"] = {"src": "music", "loop": True, "fadeOut": 0.2, "duck": draw(st.booleans())}
    if draw(st.booleans()):
        timeline["audioClips"] = [{"src": "voice", "start": draw(hundredths(0, 30)), "volume": 0.5}]
    if draw(st.integers(0, 3)) == 0:
        timeline["tracks"] = [{"clips": [{"src": 7, "start": 0.1, "duration": 0.2, "width": 6, "position": "right"}]}]
    timeline["loudness"] = draw(st.sampled_from([False, -20, -26]))
    add_gap(timeline, draw(st.integers(0, 3)), draw(hundredths(10, 30)))
    return timeline


def add_gap(timeline: dict[str, Any], number: int, seconds: float) -> None:
    """Start a scene later than by default, if no transition leads to it."""
    row = timeline["scenes"]
    if number < len(row) and not (number and "transition" in row[number - 1]):
        default_start = [*places(timeline)][number].start
        row[number]["start"] = round(float(default_start / rate_of(timeline)) + seconds, 3)


# Expected result


def rate_of(timeline: dict[str, Any]) -> Fraction:
    return Fraction(timeline["output"]["fps"])


@dataclass(frozen=True)
class Place:
    """Frames of a scene in the video, and how many of them it shares with the scenes before and after."""

    scene: dict[str, Any]
    start: int
    frames: int
    into: int
    out: int


def places(timeline: dict[str, Any]) -> Iterator[Place]:
    rate, end, into = rate_of(timeline), 0, 0
    for scene in timeline["scenes"]:
        frames = max(1, round(Fraction(seconds_of(scene)) * rate))
        transition = scene.get("transition")
        out = max(1, round(Fraction(transition["duration"]) * rate)) if transition else 0
        start = round(Fraction(scene["start"]) * rate) if "start" in scene else end - into
        yield Place(scene, start, frames, into, out)
        end, into = start + frames, out


def seconds_of(scene: dict[str, Any]) -> float:
    if "duration" in scene:
        return float(scene["duration"])
    return (scene.get("trimEnd", CLIPS[scene["src"]].length) - scene.get("trimStart", 0)) / scene.get("speed", 1)


def brightness(timeline: dict[str, Any]) -> list[bool | None]:
    """Expected brightness in the center of each frame; None if it may be either."""
    rate, whole = rate_of(timeline), [*places(timeline)]
    expected: list[bool | None] = [False] * max(place.start + place.frames for place in whole)
    for place in whole:
        fades = [round(place.scene.get(name, 0) * rate) for name in ("fadeIn", "fadeOut")]
        for frame in range(place.frames):
            open_ = frame < max(place.into, fades[0]) or frame >= place.frames - max(place.out, fades[1])
            expected[place.start + frame] = (
                None if open_ else is_bright(place.scene, float(frame / rate), float(1 / rate))
            )
    return expected


def is_bright(scene: dict[str, Any], time: float, frame: float) -> bool | None:
    """Expected brightness at a time of a scene; None within a frame (of either rate) of an edge of the flash."""
    if "color" in scene:
        return bool(scene["color"] == "#ffffff")
    clip = CLIPS[scene["src"]]
    if clip.still:
        return clip.still == "white"
    speed = scene.get("speed", 1)
    source_time, tolerance = scene.get("trimStart", 0) + time * speed, frame * speed + 1 / clip.rate + 1e-6
    if min(abs(source_time - edge) for edge in FLASH) <= tolerance:
        return None
    return FLASH[0] < source_time < FLASH[1]


def beeps(timeline: dict[str, Any]) -> list[float]:
    """Starts of the beeps that no transition, fade or other beep disturbs."""
    rate = rate_of(timeline)
    spans, clear = [], []
    for place in places(timeline):
        scene = place.scene
        if "src" not in scene or not CLIPS[scene["src"]].beeps or CLIPS[scene["src"]].still or scene.get("mute"):
            continue
        begins, ends = ((edge - scene.get("trimStart", 0)) / scene.get("speed", 1) for edge in FLASH)
        spans.append((float(place.start / rate) + begins, float(place.start / rate) + ends))
        first = max(float(place.into / rate), scene.get("fadeIn", 0)) + 0.03
        last = float((place.frames - place.out) / rate) - scene.get("fadeOut", 0) - 0.03
        clear.append(first <= begins and ends <= last)
    return [
        start
        for number, ((start, _), free) in enumerate(zip(spans, clear, strict=True))
        if free and all(abs(start - edge) > 0.25 for n, beep in enumerate(spans) if n != number for edge in beep)
    ]


def has_audio(timeline: dict[str, Any]) -> bool:
    row = [CLIPS[scene["src"]] for scene in timeline["scenes"] if "src" in scene and not scene.get("mute")]
    return any(clip.beeps and not clip.still for clip in row) or bool(timeline.keys() & {"soundtrack", "audioClips"})


# Comparison


@pytest.fixture(scope="module")
def sources(studio: Studio) -> dict[Any, str]:
    music = studio.sound("music.wav", "sine=frequency=220:sample_rate=44100,volume=-12dB", seconds=0.9)
    voice = studio.sound("voice.wav", "sine=frequency=500:sample_rate=48000", seconds=0.6)
    paths = {number: str(clip.make(studio)) for number, clip in enumerate(CLIPS)}
    return {**paths, "music": str(music), "voice": str(voice)}


def with_files(value: Any, sources: dict[Any, str]) -> Any:
    if isinstance(value, list):
        return [with_files(each, sources) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: sources[each] if key == "src" else with_files(each, sources) for key, each in value.items()}


@given(timeline=timelines())
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # each render takes a second: shrinking would take minutes
    suppress_health_check=list(HealthCheck),
)
def test_a_rendered_video_matches_its_timeline(
    tmp_path_factory: pytest.TempPathFactory, studio: Studio, sources: dict[Any, str], timeline: dict[str, Any]
):
    stage = FakeContext(tmp_path_factory.mktemp("render"))
    params = validate_params(with_files(timeline, sources), render.params)

    result = asyncio.run(render.run(stage, params))

    video = stage.kept[0]
    frames = studio.gray_frames(video, size=(64, 64))
    check_streams(result, timeline, len(frames))
    check_frames(frames, timeline)
    if has_audio(timeline):
        check_audio(studio.audio_samples(video)[:, 0], timeline)
        asyncio.run(check_loudness(stage, video, timeline))


def check_streams(result: Any, timeline: dict[str, Any], frames: int) -> None:
    expected, rate, probe = brightness(timeline), rate_of(timeline), result.video.probe
    assert (frames, probe.frames) == (len(expected), len(expected))
    assert result.duration == pytest.approx(float(len(expected) / rate), abs=1e-6)
    assert probe.duration == pytest.approx(result.duration, abs=0.05)
    assert (probe.width, probe.height, probe.video_codec, probe.pixel_format) == (64, 64, "h264", "yuv420p")
    assert probe.fps == pytest.approx(float(rate), abs=0.01)
    assert (probe.audio_codec, probe.audio_channels) == (("aac", 2) if has_audio(timeline) else (None, None))


def check_frames(frames: np.ndarray, timeline: dict[str, Any]) -> None:
    expected = brightness(timeline)
    wrong = [
        n for n, (frame, bright) in enumerate(zip(frames, expected, strict=True))
        if bright is not None and (np.median(frame[CENTER]) > 128) != bright
    ]  # fmt: skip
    assert wrong == [], "these frames show another time"
    for overlay in timeline.get("overlays", ()):
        start, end = overlay["start"], overlay["start"] + overlay["duration"]
        bright = {n for n, frame in enumerate(frames) if np.median(frame[CORNER]) > 128}
        dark = {n for n, expected_bright in enumerate(expected) if expected_bright is False}
        assert {*certain_frames(start, end, timeline)} - bright == set(), "these frames lack the overlay"
        assert bright & dark - {*possible_frames(start, end, timeline)} == set(), "these frames show the overlay"
    for cue in timeline.get("captions", {}).get("cues", ()):
        dark = [n for n in certain_frames(cue["start"], cue["end"], timeline) if expected[n] is False]
        assert [n for n in dark if frames[n][BOTTOM].max() < 150] == [], "these frames lack the caption"


def certain_frames(start: float, end: float, timeline: dict[str, Any]) -> range:
    """Frames in which something with these times must be visible, however the times are rounded."""
    rate, whole = rate_of(timeline), len(brightness(timeline))
    return range(int(Fraction(start) * rate) + 2, min(whole, int(Fraction(end) * rate) - 1))


def possible_frames(start: float, end: float, timeline: dict[str, Any]) -> range:
    """Frames in which something with these times may be visible."""
    rate = rate_of(timeline)
    return range(int(Fraction(start) * rate) - 1, int(Fraction(end) * rate) + 3)


def check_audio(audio: np.ndarray, timeline: dict[str, Any]) -> None:
    rate = rate_of(timeline)
    assert len(audio) / 48_000 == pytest.approx(float(len(brightness(timeline)) / rate), abs=0.03)
    level = pitch_level(audio)
    for begin in beeps(timeline):
        first = max(0, round((begin - 0.1) * 48_000))
        near = level[first : round((begin + 0.1) * 48_000)]
        onset = (first + int(np.argmax(near > near.max() / 2))) / 48_000
        assert near.max() > 0.005, f"no beep at {begin:.3f} s"
        assert onset == pytest.approx(begin, abs=float(1 / rate)), "the beep is not in sync with its flash"


def pitch_level(audio: np.ndarray) -> np.ndarray:
    """Level of the beep's pitch around each sample."""
    carrier = np.exp(-2j * np.pi * PITCH / 48_000 * np.arange(len(audio)))
    window = 240
    return np.abs(np.convolve(audio * carrier, np.ones(window) / window, mode="same"))


async def check_loudness(stage: FakeContext, video: Path, timeline: dict[str, Any]) -> None:
    target, long_enough = timeline["loudness"], float(len(brightness(timeline)) / rate_of(timeline)) > 1
    if target is False or not long_enough:
        return
    found = await measure(stage.ffmpeg, video)
    if not found.is_silence:
        assert found.integrated == pytest.approx(target, abs=0.5)
        assert found.true_peak < -1


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.75, 1.5, 2, 4])
async def test_audio_at_another_speed_stays_in_sync(
    stage: FakeContext, studio: Studio, sources: dict[Any, str], speed: float
):
    timeline = {
        "scenes": [{"src": 0, "speed": speed}],
        "output": {"fps": 30, "width": 64, "height": 64},
        "loudness": False,
    }

    await render.run(stage, validate_params(with_files(timeline, sources), render.params))

    level = pitch_level(studio.audio_samples(stage.kept[0])[:, 0])
    assert np.argmax(level > level.max() / 2) / 48_000 == pytest.approx(FLASH[0] / speed, abs=0.03)
    check_frames(studio.gray_frames(stage.kept[0], size=(64, 64)), timeline)
