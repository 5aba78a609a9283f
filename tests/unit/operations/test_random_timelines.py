"""Random timelines become films, and each film is held against what its specification says.

The clips tell the time: they are dark but for a flash, which is heard as a beep. So for nearly every frame it is known
whether it must be bright, and for every beep when it must begin. What the specification says is reckoned here anew,
from its words alone.
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
from media.studio import Stage, Studio

from callsheet.domain.plan_validation import validate_params
from callsheet.media.encoding.loudness import measure
from callsheet.operations.render import render

EXAMPLES = 14

FLASH = (0.5, 0.7)
LENGTH = 1.2
PITCH = 3000
MIDDLE, CORNER, BELOW = (slice(26, 38), slice(26, 38)), (slice(1, 9), slice(1, 9)), (slice(46, 64), slice(8, 56))
"""Where a flash, an overlay and captions are looked for, in pictures of 64x64."""


@dataclass(frozen=True)
class Clip:
    """A source: a flash in a film of this size and rate, or a picture."""

    size: str = "64x64"
    rate: int = 30
    beeps: bool = True
    still: str | None = None

    @property
    def length(self) -> float:
        """It is made of whole frames."""
        return math.ceil(round(LENGTH * self.rate, 6)) / self.rate

    def make(self, studio: Studio) -> Path:
        if self.still:
            return studio.still(f"{self.still}.png", f"color={self.still}:size={self.size}")
        name = f"{self.size}-{self.rate}-{self.beeps}.mp4"
        picture = f"color=black:size={self.size}:rate={self.rate},geq=lum='16+219*between(T,{FLASH[0]},{FLASH[1]})'"
        beep = f"aevalsrc='0.5*sin(2*PI*{PITCH}*t)*between(t,{FLASH[0]},{FLASH[1]})':s=48000"
        return studio.clip(
            name,
            f"{picture}:cb=128:cr=128",
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


# What is asked for


def hundredths(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda n: n / 100)


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
    passing = draw(st.sampled_from([None, None, "fade", "wipeleft", "circleopen"]))
    scene |= {"transition": {"type": passing, "duration": draw(hundredths(1, 15))}} if passing else {}
    return scene


@st.composite
def timelines(draw: st.DrawFn) -> dict[str, Any]:
    row = [draw(scenes()) for _ in range(draw(st.integers(1, 4)))]
    row[-1].pop("transition", None)
    fps = draw(st.sampled_from([30, 25, 24, 50, "30000/1001"]))
    made: dict[str, Any] = {"scenes": row, "output": {"fps": fps, "width": 64, "height": 64, "crf": 5}}
    if draw(st.booleans()):
        placed = {"start": draw(hundredths(0, 30)), "duration": draw(hundredths(10, 40))}
        made["overlays"] = [{"src": 6, "width": 12, "height": 12, "fit": "fill", "position": "top_left", **placed}]
    if draw(st.booleans()):
        cue = {"start": draw(hundredths(0, 20)), "end": draw(hundredths(30, 70)), "text": "A caption"}
        made["captions"] = {"cues": [cue], "style": {"fontSize": 12, "margin": 3}}
    if draw(st.booleans()):
        made["soundtrack"] = {"src": "music", "loop": True, "fadeOut": 0.2, "duck": draw(st.booleans())}
    if draw(st.booleans()):
        made["audioClips"] = [{"src": "voice", "start": draw(hundredths(0, 30)), "volume": 0.5}]
    if draw(st.integers(0, 3)) == 0:
        made["tracks"] = [{"clips": [{"src": 7, "start": 0.1, "duration": 0.2, "width": 6, "position": "right"}]}]
    made["loudness"] = draw(st.sampled_from([False, -20, -26]))
    with_a_gap(made, draw(st.integers(0, 3)), draw(hundredths(10, 30)))
    return made


def with_a_gap(made: dict[str, Any], number: int, seconds: float) -> None:
    """Let a scene start later than it would, where no transition leads to it."""
    row = made["scenes"]
    if number < len(row) and not (number and "transition" in row[number - 1]):
        usual = [*places(made)][number].start
        row[number]["start"] = round(float(usual / rate_of(made)) + seconds, 3)


# What it says


def rate_of(timeline: dict[str, Any]) -> Fraction:
    return Fraction(timeline["output"]["fps"])


@dataclass(frozen=True)
class Place:
    """Which frames of the film a scene has, and how many of them it shares with those before and after."""

    scene: dict[str, Any]
    start: int
    frames: int
    into: int
    out: int


def places(timeline: dict[str, Any]) -> Iterator[Place]:
    rate, end, into = rate_of(timeline), 0, 0
    for scene in timeline["scenes"]:
        frames = max(1, round(Fraction(seconds_of(scene)) * rate))
        passing = scene.get("transition")
        out = max(1, round(Fraction(passing["duration"]) * rate)) if passing else 0
        start = round(Fraction(scene["start"]) * rate) if "start" in scene else end - into
        yield Place(scene, start, frames, into, out)
        end, into = start + frames, out


def seconds_of(scene: dict[str, Any]) -> float:
    if "duration" in scene:
        return float(scene["duration"])
    return (scene.get("trimEnd", CLIPS[scene["src"]].length) - scene.get("trimStart", 0)) / scene.get("speed", 1)


def brightness(timeline: dict[str, Any]) -> list[bool | None]:
    """Whether each frame of the film must be bright in its middle; None where it may be either."""
    rate, whole = rate_of(timeline), [*places(timeline)]
    told: list[bool | None] = [False] * max(place.start + place.frames for place in whole)
    for place in whole:
        fades = [round(place.scene.get(name, 0) * rate) for name in ("fadeIn", "fadeOut")]
        for frame in range(place.frames):
            open_ = frame < max(place.into, fades[0]) or frame >= place.frames - max(place.out, fades[1])
            told[place.start + frame] = None if open_ else is_bright(place.scene, float(frame / rate), float(1 / rate))
    return told


def is_bright(scene: dict[str, Any], moment: float, frame: float) -> bool | None:
    """What is seen of a scene at a moment of its own; a flash may begin or end a frame of either rate off."""
    if "color" in scene:
        return bool(scene["color"] == "#ffffff")
    clip = CLIPS[scene["src"]]
    if clip.still:
        return clip.still == "white"
    speed = scene.get("speed", 1)
    seen, slack = scene.get("trimStart", 0) + moment * speed, frame * speed + 1 / clip.rate + 1e-6
    if min(abs(seen - edge) for edge in FLASH) <= slack:
        return None
    return FLASH[0] < seen < FLASH[1]


def beeps(timeline: dict[str, Any]) -> list[float]:
    """When the beeps begin that are heard undisturbed by transitions, fades and each other."""
    rate = rate_of(timeline)
    heard, clear = [], []
    for place in places(timeline):
        scene = place.scene
        if "src" not in scene or not CLIPS[scene["src"]].beeps or CLIPS[scene["src"]].still or scene.get("mute"):
            continue
        begins, ends = ((edge - scene.get("trimStart", 0)) / scene.get("speed", 1) for edge in FLASH)
        heard.append((float(place.start / rate) + begins, float(place.start / rate) + ends))
        first = max(float(place.into / rate), scene.get("fadeIn", 0)) + 0.03
        last = float((place.frames - place.out) / rate) - scene.get("fadeOut", 0) - 0.03
        clear.append(first <= begins and ends <= last)
    return [
        start
        for number, ((start, _), free) in enumerate(zip(heard, clear, strict=True))
        if free and all(abs(start - edge) > 0.25 for n, beep in enumerate(heard) if n != number for edge in beep)
    ]


def sounds(timeline: dict[str, Any]) -> bool:
    row = [CLIPS[scene["src"]] for scene in timeline["scenes"] if "src" in scene and not scene.get("mute")]
    return any(clip.beeps and not clip.still for clip in row) or bool(timeline.keys() & {"soundtrack", "audioClips"})


# What became of it


@pytest.fixture(scope="module")
def sources(studio: Studio) -> dict[Any, str]:
    music = studio.sound("music.wav", "sine=frequency=220:sample_rate=44100,volume=-12dB", seconds=0.9)
    voice = studio.sound("voice.wav", "sine=frequency=500:sample_rate=48000", seconds=0.6)
    paths = {number: str(clip.make(studio)) for number, clip in enumerate(CLIPS)}
    return {**paths, "music": str(music), "voice": str(voice)}


def with_files(asked: Any, sources: dict[Any, str]) -> Any:
    if isinstance(asked, list):
        return [with_files(each, sources) for each in asked]
    if not isinstance(asked, dict):
        return asked
    return {key: sources[each] if key == "src" else with_files(each, sources) for key, each in asked.items()}


@given(timeline=timelines())
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # each film takes a second: to shrink one would take minutes
    suppress_health_check=list(HealthCheck),
)
def test_a_film_is_what_its_timeline_says(
    tmp_path_factory: pytest.TempPathFactory, studio: Studio, sources: dict[Any, str], timeline: dict[str, Any]
):
    stage = Stage(tmp_path_factory.mktemp("film"))
    params = validate_params(with_files(timeline, sources), render.params)

    result = asyncio.run(render.run(stage, params))

    film = stage.kept[0]
    pictures = studio.look(film, size=(64, 64))
    check_streams(result, timeline, len(pictures))
    check_pictures(pictures, timeline)
    if sounds(timeline):
        check_sound(studio.listen(film)[:, 0], timeline)
        asyncio.run(check_loudness(stage, film, timeline))


def check_streams(result: Any, timeline: dict[str, Any], pictures: int) -> None:
    told, rate, probe = brightness(timeline), rate_of(timeline), result.video.probe
    assert (pictures, probe.frames) == (len(told), len(told))
    assert result.duration == pytest.approx(float(len(told) / rate), abs=1e-6)
    assert probe.duration == pytest.approx(result.duration, abs=0.05)
    assert (probe.width, probe.height, probe.video_codec, probe.pixel_format) == (64, 64, "h264", "yuv420p")
    assert probe.fps == pytest.approx(float(rate), abs=0.01)
    assert (probe.audio_codec, probe.audio_channels) == (("aac", 2) if sounds(timeline) else (None, None))


def check_pictures(pictures: np.ndarray, timeline: dict[str, Any]) -> None:
    told = brightness(timeline)
    wrong = [
        n for n, (picture, bright) in enumerate(zip(pictures, told, strict=True))
        if bright is not None and (np.median(picture[MIDDLE]) > 128) != bright
    ]  # fmt: skip
    assert wrong == [], "these frames show another moment"
    for overlay in timeline.get("overlays", ()):
        start, end = overlay["start"], overlay["start"] + overlay["duration"]
        bright = {n for n, picture in enumerate(pictures) if np.median(picture[CORNER]) > 128}
        dark = {n for n, seen in enumerate(told) if seen is False}
        assert {*certain(start, end, timeline)} - bright == set(), "these frames lack the overlay"
        assert bright & dark - {*possible(start, end, timeline)} == set(), "these frames show the overlay"
    for cue in timeline.get("captions", {}).get("cues", ()):
        dark = [n for n in certain(cue["start"], cue["end"], timeline) if told[n] is False]
        assert [n for n in dark if pictures[n][BELOW].max() < 150] == [], "these frames lack the caption"


def certain(start: float, end: float, timeline: dict[str, Any]) -> range:
    """The frames of the film in which something with these times must be seen, whichever way they were rounded."""
    rate, whole = rate_of(timeline), len(brightness(timeline))
    return range(int(Fraction(start) * rate) + 2, min(whole, int(Fraction(end) * rate) - 1))


def possible(start: float, end: float, timeline: dict[str, Any]) -> range:
    """The frames of the film in which something with these times may be seen."""
    rate = rate_of(timeline)
    return range(int(Fraction(start) * rate) - 1, int(Fraction(end) * rate) + 3)


def check_sound(heard: np.ndarray, timeline: dict[str, Any]) -> None:
    rate = rate_of(timeline)
    assert len(heard) / 48_000 == pytest.approx(float(len(brightness(timeline)) / rate), abs=0.03)
    level = pitch_level(heard)
    for begin in beeps(timeline):
        first = max(0, round((begin - 0.1) * 48_000))
        near = level[first : round((begin + 0.1) * 48_000)]
        onset = (first + int(np.argmax(near > near.max() / 2))) / 48_000
        assert near.max() > 0.005, f"no beep at {begin:.3f} s"
        assert onset == pytest.approx(begin, abs=float(1 / rate)), "the beep is not with its flash"


def pitch_level(heard: np.ndarray) -> np.ndarray:
    """How loud the pitch of the beeps is around each sample."""
    turning = np.exp(-2j * np.pi * PITCH / 48_000 * np.arange(len(heard)))
    window = 240
    return np.abs(np.convolve(heard * turning, np.ones(window) / window, mode="same"))


async def check_loudness(stage: Stage, film: Path, timeline: dict[str, Any]) -> None:
    wanted, long_enough = timeline["loudness"], float(len(brightness(timeline)) / rate_of(timeline)) > 1
    if wanted is False or not long_enough:
        return
    found = await measure(stage.ffmpeg, film)
    if not found.is_silence:
        assert found.integrated == pytest.approx(wanted, abs=0.5)
        assert found.true_peak < -1


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.75, 1.5, 2, 4])
async def test_sound_of_another_speed_stays_with_its_picture(
    stage: Stage, studio: Studio, sources: dict[Any, str], speed: float
):
    timeline = {
        "scenes": [{"src": 0, "speed": speed}],
        "output": {"fps": 30, "width": 64, "height": 64},
        "loudness": False,
    }

    await render.run(stage, validate_params(with_files(timeline, sources), render.params))

    level = pitch_level(studio.listen(stage.kept[0])[:, 0])
    assert np.argmax(level > level.max() / 2) / 48_000 == pytest.approx(FLASH[0] / speed, abs=0.03)
    check_pictures(studio.look(stage.kept[0], size=(64, 64)), timeline)
