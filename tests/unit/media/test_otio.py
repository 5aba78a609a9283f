"""Cuts of other programs become timelines, and timelines become cuts."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentimelineio import schema

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import ConfigurationError, NotFound
from callsheet.media.otio import library
from callsheet.media.otio.exporting import to_otio
from callsheet.media.otio.importing import OtioRejected, from_otio
from callsheet.media.otio.library import InvalidOtio, read_otio, write_otio
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import audio_mix, layers
from callsheet.media.rendering.schedule import Schedule, schedule
from callsheet.media.timeline.timeline import Timeline
from callsheet.media.values import parse_rate

RATE = 24.0
SIZELESS = "the cut tells no size for the film; unless its output names one, that of the settings"


def at(frames: float, rate: float = RATE) -> otio.opentime.RationalTime:
    return otio.opentime.RationalTime(frames, rate)


def span(start: float, length: float, rate: float = RATE) -> otio.opentime.TimeRange:
    return otio.opentime.TimeRange(at(start, rate), at(length, rate))


def clip(url: str, start: float, length: float, *, rate: float = RATE, speed: float = 1, **more: Any) -> schema.Clip:
    media = schema.ExternalReference(url, more.pop("available", None))
    made = schema.Clip(more.pop("name", ""), media, span(start, length, rate), **more)
    if speed != 1:
        made.effects.append(schema.LinearTimeWarp(time_scalar=speed))
    return made


def dissolve(before: float, after: float, kind: str = "SMPTE_Dissolve") -> schema.Transition:
    return schema.Transition(transition_type=kind, in_offset=at(before), out_offset=at(after))


def gap(frames: float) -> schema.Gap:
    return schema.Gap(source_range=span(0, frames))


def saved(folder: Path, *rows: list[Any], audio: tuple[list[Any], ...] = ()) -> Path:
    cut = schema.Timeline("cut")
    cut.tracks.extend(schema.Track(f"V{n}", children=row, kind="Video") for n, row in enumerate(rows, 1))
    cut.tracks.extend(schema.Track(f"A{n}", children=row, kind="Audio") for n, row in enumerate(audio, 1))
    path = folder / "the cut.otio"
    write_otio(cut, path)
    return path


def planned(timeline: dict[str, Any], known: dict[str, MediaInfo] | None = None) -> Schedule:
    read = Timeline.model_validate(timeline)
    found = [(known or {}).get(str(s.src.root)) if s.src else None for s in read.scenes]
    return schedule(read.scenes, found, parse_rate(read.output.fps))


def test_clips_become_scenes_with_their_places_in_the_media(tmp_path: Path):
    whole = span(86_400, 240)
    path = saved(
        tmp_path,
        [clip("file:///in/a%20b%231.mp4", 86_448, 72, available=whole, name="first"), clip("sub/c.mp4", 12, 36)],
    )

    made = from_otio(path)

    assert made.timeline == {
        "scenes": [
            {"name": "first", "src": "/in/a b#1.mp4", "trimStart": 2.0, "duration": 3.0},
            {"src": str(tmp_path / "sub/c.mp4"), "trimStart": 0.5, "duration": 1.5},
        ],
        "output": {"fps": 24},
    }
    assert made.notes == (SIZELESS,)


def test_transitions_leave_the_length_as_it_was(tmp_path: Path):
    row = [clip("/a.mp4", 24, 72), dissolve(12, 6), clip("/b.mp4", 48, 72, speed=2), dissolve(4, 4), gap(24)]
    path = saved(tmp_path, row)

    made = from_otio(path)
    first, second, third = made.timeline["scenes"]
    plan = planned(made.timeline)

    assert plan.frames == 72 + 72 + 24
    assert (first["trimStart"], first["duration"]) == (1.0, (72 + 6) / 24)
    assert first["transition"] == {"type": "fade", "duration": 18 / 24}
    assert second["trimStart"] == 2.0 - 2 * 0.5, "at twice its speed, half a second takes a second of it"
    assert (second["speed"], second["duration"]) == (2.0, 3.666667)
    assert third == {"color": "#000000", "duration": pytest.approx(28 / 24, abs=1e-6)}
    assert [(shot.start, shot.end) for shot in plan.shots] == [(0, 78), (60, 148), (140, 168)]


def test_a_transition_takes_no_more_than_the_media_has(tmp_path: Path):
    row = [clip("/a.mp4", 0, 48), dissolve(12, 6), clip("/b.mp4", 4, 48), dissolve(6, 6), clip("/photo.PNG", 0, 48)]

    made = from_otio(saved(tmp_path, row))

    assert [scene.get("transition", {}).get("duration") for scene in made.timeline["scenes"]] == [0.416667, 0.5, None]
    assert "trimStart" not in made.timeline["scenes"][1]
    assert planned(made.timeline).frames == 144
    assert "0.333333 s shorter" in made.notes[1]


def test_transitions_at_the_ends_are_fades(tmp_path: Path):
    made = from_otio(saved(tmp_path, [dissolve(0, 12), clip("/a.mp4", 0, 48), dissolve(6, 0)]))

    assert made.timeline["scenes"] == [{"fadeIn": 0.5, "fadeOut": 0.25, "src": "/a.mp4", "duration": 2.0}]


def test_broadcast_rates_are_exact(tmp_path: Path):
    row = [clip("/a.mp4", 0, 10_000, rate=29.97), clip("/b.mp4", 0, 1_001, rate=29.97)]

    made = from_otio(saved(tmp_path, row))

    assert made.timeline["output"]["fps"] == "30000/1001"
    assert made.timeline["scenes"][0]["duration"] == pytest.approx(float(10_000 * Fraction(1001, 30000)), abs=1e-6)
    assert [shot.frames for shot in planned(made.timeline).shots] == [10_000, 1_001]


def test_clips_at_other_rates_do_not_let_the_cuts_drift(tmp_path: Path):
    row = [clip("/a.mp4", 0, 24), *(clip("/b.mp4", 0, 5, rate=50) for _ in range(30)), clip("/c.mp4", 0, 24)]

    made = from_otio(saved(tmp_path, row))

    assert planned(made.timeline).frames == 24 + 72 + 24


def test_names_of_transitions_of_ours_are_kept_and_others_become_fades(tmp_path: Path):
    a, b = clip("/a.mp4", 48, 72), clip("/b.mp4", 48, 72)
    path = saved(tmp_path, [a, dissolve(5, 5, "Wipe_Left"), b, dissolve(5, 5, "Cube_Spin"), clip("/c.mp4", 48, 72)])

    made = from_otio(path)

    assert [s["transition"]["type"] for s in made.timeline["scenes"][:2]] == ["wipeleft", "fade"]
    assert made.notes == (SIZELESS, "tracks.children[0].children[2]: the transition 'Cube_Spin' becomes a plain fade")


def test_further_video_tracks_lie_above_at_their_times(tmp_path: Path):
    above = [
        gap(24),
        clip("/b.mp4", 24, 24),
        dissolve(6, 6),
        clip("/c.mp4", 24, 24, speed=0.5),
        dissolve(6, 6),
        gap(120),
    ]

    made = from_otio(saved(tmp_path, [clip("/a.mp4", 0, 96)], above))

    assert made.timeline["tracks"] == [
        {
            "clips": [
                {"start": 1.0, "duration": 1.25, "src": "/b.mp4", "trimStart": 1.0},
                {
                    "start": 1.75, "duration": 1.5, "fadeIn": 0.5, "fadeOut": 0.5,
                    "src": "/c.mp4", "trimStart": 0.875, "speed": 0.5,
                },
            ]
        }
    ]  # fmt: skip
    assert [s.get("color") for s in made.timeline["scenes"]] == [None, "#000000"], "the film lasts as long as the cut"
    assert planned(made.timeline).frames == 192


def test_a_scenes_own_sound_stays_with_it_and_others_are_muted(tmp_path: Path):
    picture = [clip("/a.mp4", 0, 48), clip("/b.mp4", 0, 48), clip("/photo.jpg", 0, 48)]
    sounds = [clip("/a.mp4", 0, 48), clip("/voice.wav", 48_000, 96_000, rate=48_000)]

    made = from_otio(saved(tmp_path, picture, audio=(sounds,)))

    assert [scene.get("mute", False) for scene in made.timeline["scenes"]] == [False, True, False]
    assert made.timeline["tracks"] == [
        {"type": "audio", "clips": [{"src": "/voice.wav", "start": 2.0, "duration": 2.0, "trimStart": 1.0}]}
    ]


def test_sound_that_is_cut_otherwise_than_its_picture_keeps_its_own_cut(tmp_path: Path):
    picture = [clip("/a.mp4", 0, 48), dissolve(6, 6), clip("/b.mp4", 12, 48)]
    sounds = [clip("/a.mp4", 0, 48), clip("/b.mp4", 12, 48)]

    made = from_otio(saved(tmp_path, picture, audio=(sounds,)))

    assert [scene.get("mute") for scene in made.timeline["scenes"]] == [True, True]
    assert [(c["start"], c["duration"]) for c in made.timeline["tracks"][0]["clips"]] == [(0.0, 2.0), (2.0, 2.0)]


def test_cross_fades_of_sound_overlap(tmp_path: Path):
    sounds = [clip("/x.wav", 24, 24), dissolve(6, 6), clip("/y.wav", 24, 24)]

    made = from_otio(saved(tmp_path, [clip("/a.mp4", 0, 48)], audio=(sounds,)))

    assert made.timeline["tracks"][0]["clips"] == [
        {"src": "/x.wav", "start": 0.0, "duration": 1.25, "trimStart": 1.0, "fadeOut": 0.5},
        {"src": "/y.wav", "start": 0.75, "duration": 1.25, "trimStart": 0.75, "fadeIn": 0.5},
    ]


def test_everything_that_no_timeline_can_hold_is_told_at_once(tmp_path: Path):
    frozen, backwards = clip("/a.mp4", 0, 24, name="ice"), clip("/a.mp4", 0, 24, speed=-1)
    frozen.effects.append(schema.FreezeFrame())
    nested = schema.Stack("inner", [schema.Track("V", children=[clip("/n.mp4", 0, 24)])])
    lost = schema.Clip("lost", schema.MissingReference(), span(0, 24))
    endless = schema.Clip("endless", schema.ExternalReference("/x.mp4"))
    far = clip("file://server/share/a.mp4", 0, 24)
    tape = clip("rtsp://camera/1", 0, 24)

    with pytest.raises(OtioRejected) as caught:
        from_otio(saved(tmp_path, [frozen, backwards, nested, lost, endless, far, tape]))

    assert [(int(p.path[-2]), p.code) for p in caught.value.problems] == [
        (0, "freeze_frame"),
        (1, "bad_speed"),
        (2, "nested"),
        (3, "no_media"),
        (4, "no_length"),
        (5, "bad_url"),
        (6, "bad_url"),
    ]
    assert repr(caught.value.problems[3]) == (
        "tracks.children[0].children[3]: 'lost' has no media file, but a MissingReference; link it anew"
    )


def test_what_is_left_out_is_noted(tmp_path: Path):
    blurred, off = clip("/a.mp4", 0, 24, name="soft"), clip("/b.mp4", 0, 24, name="unused")
    blurred.effects.append(schema.Effect(effect_name="GaussianBlur"))
    blurred.markers.append(schema.Marker("here"))
    off.enabled = False

    made = from_otio(saved(tmp_path, [blurred, off]))

    assert made.notes == (
        "tracks.children[0].children[0]: the effect 'GaussianBlur' of 'soft' is left out",
        "tracks.children[0].children[1]: 'unused' is switched off, and left out",
        "markers are left out (1)",
        SIZELESS,
    )
    assert made.timeline["scenes"][1] == {"color": "#000000", "duration": 1.0}


def test_addresses_and_sources_of_ours_are_kept(tmp_path: Path):
    (tmp_path / "100% it's.mp4").touch()
    urls = ["https://example.com/a%20b.mp4?key=1", "storage:uploads/a.mp4", "100% it's.mp4", "not%20there.mp4"]

    made = from_otio(saved(tmp_path, [clip(url, 0, 24) for url in urls]))

    assert [scene["src"] for scene in made.timeline["scenes"]] == [
        *urls[:2],
        str(tmp_path / "100% it's.mp4"),
        str(tmp_path / "not there.mp4"),
    ]


def test_a_bundle_is_unpacked_beside_itself(tmp_path: Path):
    (tmp_path / "clip.mp4").write_bytes(b"picture")
    cut = schema.Timeline("cut")
    cut.tracks.append(schema.Track("V", children=[clip((tmp_path / "clip.mp4").as_uri(), 0, 24)]))
    otio.adapters.write_to_file(cut, str(tmp_path / "cut.otioz"))

    made = [from_otio(tmp_path / name) for name in ("cut.otioz", "cut.otioz", "cut.otiod")]

    assert {m.timeline["scenes"][0]["src"] for m in made} == {str(tmp_path / "cut.otiod/media/clip.mp4")}
    assert (tmp_path / "cut.otiod/media/clip.mp4").read_bytes() == b"picture"


@pytest.mark.parametrize(("value", "rate"), [(float("nan"), 24), (float("inf"), 24), (1, 0), (1, float("nan"))])
def test_times_that_are_none_are_told(tmp_path: Path, value: float, rate: float):
    path = saved(tmp_path, [clip("/a.mp4", 0, 24)])
    cut, _ = read_otio(path)
    cut.tracks[0][0].source_range = span(value, 24, rate)
    write_otio(cut, path)

    with pytest.raises(InvalidOtio, match="that is none"):
        from_otio(path)


@pytest.mark.parametrize("text", ["", "{", '{"OTIO_SCHEMA": "Clip.2"}', '{"a": 1}', "[]", '{"OTIO_SCHEMA": "No.1"}'])
def test_what_is_no_cut_is_told(tmp_path: Path, text: str):
    (tmp_path / "x.otio").write_text(text)

    with pytest.raises(InvalidOtio, match=r"x\.otio'"):
        from_otio(tmp_path / "x.otio")
    with pytest.raises(NotFound):
        from_otio(tmp_path / "y.otio")
    (tmp_path / "x.otioz").write_text(text)
    with pytest.raises(InvalidOtio, match="cannot be unpacked"):
        from_otio(tmp_path / "x.otioz")


def test_without_the_package_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(library.importlib, "import_module", missing)

    with pytest.raises(ConfigurationError, match=r"pip install 'callsheet\[otio\]'"):
        read_otio(tmp_path / "a.otio")


# There and back

KNOWN = {
    "/in/film.mp4": (10.0, True),
    "/in/silent film.mp4": (7.3, False),
    "/in/photo.png": (None, False),
    "https://example.com/clip.mp4?key=1": (8.0, True),
    "/in/voice.wav": (5.1, True),
}


def footage(source: str) -> MediaInfo:
    seconds, sounds = KNOWN[source]
    facts = {"duration": seconds, "width": 640, "height": 360, "audioCodec": "aac" if sounds else None}
    return MediaInfo(Path("/got") / Path(source).name, Probe.model_validate(facts), still=seconds is None)


def laid_out(
    timeline: Timeline,
) -> tuple[dict[str, MediaInfo], Schedule, list[layers.Layer], list[audio_mix.AudioPlacement]]:
    found = {where: footage(str(source.root)) for where, source in timeline.media()}
    of_scenes = [found.get(f"scenes[{n}]") for n in range(len(timeline.scenes))]
    plan = schedule(timeline.scenes, of_scenes, parse_rate(timeline.output.fps))
    laid = layers.place_layers(timeline, found, plan)
    return found, plan, laid, audio_mix.collect_audio(timeline, found, laid, plan)


def there_and_back(timeline: Timeline, folder: Path) -> tuple[Timeline, tuple[str, ...]]:
    found, plan, laid, _ = laid_out(timeline)
    made = to_otio(timeline, found, plan, laid, name="film", folder=Path("/"))
    write_otio(made.timeline, folder / "film.otio")
    assert made.timeline.tracks[0].duration().to_frames() == plan.frames
    return Timeline.model_validate(from_otio(folder / "film.otio").timeline), made.notes


def pictures(timeline: Timeline) -> list[Any]:
    """What is seen of the scenes, and when."""
    _, plan, _, _ = laid_out(timeline)
    return [
        (
            shot.start, shot.frames, shot.blend_in, shot.blend_out, shot.sounds,
            shot.scene.color if shot.scene.src is None else shot.scene.src.root,
            None if shot.footage is None or shot.footage.still else pytest.approx(shot.scene.trim_start, abs=2e-6),
            None if shot.footage is None or shot.footage.still else shot.scene.speed,
            (shot.scene.passing.type, shot.scene.passing.audio_curve) if shot.scene.passing else None,
            shot.scene.fit, shot.scene.volume, shot.scene.fade_in, shot.scene.title,
        )
        for shot in plan.shots
    ]  # fmt: skip


def above(timeline: Timeline) -> list[Any]:
    """What lies above, in an order of its own: what does not overlap may have changed places."""
    _, _, laid, _ = laid_out(timeline)
    unplaced = {"start", "duration", "mute"}
    return sorted(
        ((layer.start, layer.frames, layer.sounds, layer.overlay.model_dump(exclude=unplaced)) for layer in laid),
        key=str,
    )


def heard(timeline: Timeline) -> list[Any]:
    """What is heard besides the scenes. Its places in the media go through microseconds."""
    _, _, _, sounds = laid_out(timeline)
    return sorted((replace(s, trim_start=round(s.trim_start, 4), volume=round(s.volume, 6)) for s in sounds), key=str)


def thousandths(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda n: n / 1000)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    scenes = [draw(scene()) for _ in range(draw(st.integers(1, 5)))]
    scenes[-1].pop("transition", None)
    fps = draw(st.sampled_from([30, 25, 24, "30000/1001", 23.976, 60]))
    tracks = draw(st.lists(st.one_of(video_track(), audio_track()), max_size=2))
    timeline = {
        "scenes": scenes,
        "tracks": tracks,
        "audioClips": draw(st.lists(sounding(), max_size=3)),
        "output": {"fps": fps, "width": 320, "height": 180},
        "loudness": draw(st.sampled_from([None, False, -18])),
    }
    if draw(st.booleans()):
        timeline["soundtrack"] = {"src": "/in/voice.wav", "loop": draw(st.booleans()), "fadeOut": 1, "duck": True}
    return Timeline.model_validate(timeline)


@st.composite
def scene(draw: st.DrawFn) -> dict[str, Any]:
    transition = draw(st.sampled_from([None, None, "fade", "wipeleft", {"type": "fade", "audioCurve": "qsin"}]))
    passing = {"type": transition} if isinstance(transition, str) else transition
    more = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "volume": st.sampled_from([0, 0.5]),
                "mute": st.just(True),
                "fadeIn": st.just(0.25),
                "fit": st.just("contain"),
                "title": st.just("Hello"),
            },
        )
    )
    if passing is not None:
        more["transition"] = {**passing, "duration": draw(thousandths(1, 500))}
    kind = draw(st.sampled_from(["color", *(name for name in KNOWN if "voice" not in name)]))
    if kind == "color":
        return {**more, "color": "#102030", "duration": draw(thousandths(1100, 3000))}
    more["speed"] = draw(st.sampled_from([1, 1, 0.5, 2.0, 1.37]))
    return {**more, "src": kind, "trimStart": draw(thousandths(0, 3000)), "duration": draw(thousandths(1100, 3000))}


@st.composite
def video_track(draw: st.DrawFn) -> dict[str, Any]:
    return {"clips": draw(st.lists(st.one_of(lying_above(), text()), min_size=1, max_size=3))}


@st.composite
def lying_above(draw: st.DrawFn) -> dict[str, Any]:
    src = draw(st.sampled_from(["/in/film.mp4", "/in/silent film.mp4", "/in/photo.png"]))
    placed = {"src": src, "start": draw(thousandths(0, 900)), "duration": draw(thousandths(20, 900))}
    return {**placed, "trimStart": draw(thousandths(0, 900)) if "photo" not in src else 0, "scale": 0.5}


@st.composite
def text(draw: st.DrawFn) -> dict[str, Any]:
    return {"text": "Über {Text}", "start": draw(thousandths(0, 900)), "color": "red"}


@st.composite
def audio_track(draw: st.DrawFn) -> dict[str, Any]:
    return {"type": "audio", "clips": draw(st.lists(sounding(), min_size=1, max_size=3)), "volume": 0.5}


@st.composite
def sounding(draw: st.DrawFn) -> dict[str, Any]:
    placed = {"src": "/in/voice.wav", "start": draw(thousandths(0, 900)), "duration": draw(thousandths(50, 900))}
    return {**placed, "trimStart": draw(thousandths(0, 900)), "fadeIn": 0.01, "speed": draw(st.sampled_from([1, 1.5]))}


@given(timeline=timelines())
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_timeline_comes_back_from_a_cut_as_the_same_film(tmp_path: Path, timeline: Timeline):
    back, _ = there_and_back(timeline, tmp_path)

    assert pictures(back) == pictures(timeline)
    assert above(back) == above(timeline)
    assert heard(back) == heard(timeline)
    assert (back.loudness, back.output) == (timeline.loudness, timeline.output)


def test_what_a_cut_has_no_words_for_is_kept_and_told(tmp_path: Path):
    timeline = Timeline.model_validate(
        {
            "scenes": [
                {"src": "/in/film.mp4", "title": "Hello", "crop": {"left": 0.1}, "transition": "circleopen"},
                {"src": "/in/photo.png", "start": 9.5, "motion": "zoom_in", "duration": 2},
                {"src": "/in/film.mp4", "start": 13},
            ],
            "overlays": [{"src": "/in/photo.png", "scale": 0.2, "position": "topRight"}],
            "captions": {"cues": [{"start": 1, "end": 2, "text": "A caption"}]},
        }
    )

    back, notes = there_and_back(timeline, tmp_path)

    shown = json.dumps(back.model_dump(mode="json", exclude_unset=True))
    assert [pictures(back)[n][:4] for n in range(4)] == [pictures(timeline)[n][:4] for n in range(4)]
    assert back.overlays == timeline.overlays
    assert back.captions == timeline.captions
    assert back.scenes[0].crop == timeline.scenes[0].crop
    assert back.scenes[1].motion == timeline.scenes[1].motion
    assert "zoom_in" in shown
    assert notes == (
        "other programs do not see texts, overlays, captions, fits, crops and filters, camera movements; "
        "Callsheet finds them in the metadata of the cut",
        "other programs may show other transitions in place of circleopen",
    )


def test_relative_paths_mean_the_timelines_folder(tmp_path: Path):
    clip = {"src": "film.mp4", "overlays": [{"src": "./logo.png"}]}
    timeline = Timeline.model_validate({"scenes": [clip], "soundtrack": "https://example.com/m.mp3"})
    found = {where: footage("/in/film.mp4") for where, _ in timeline.media()}
    plan = schedule(timeline.scenes, [found["scenes[0]"]], Fraction(30))

    made = to_otio(
        timeline, found, plan, layers.place_layers(timeline, found, plan), name="x", folder=Path("/my films")
    )
    write_otio(made.timeline, tmp_path / "x.otio")
    back = Timeline.model_validate(from_otio(tmp_path / "x.otio").timeline)

    assert made.timeline.tracks[0][0].media_reference.target_url == "file:///my%20films/film.mp4"
    assert [source.root for _, source in back.media()] == [
        "/my films/film.mp4", "/my films/logo.png", "https://example.com/m.mp3",
    ]  # fmt: skip


def test_a_change_in_another_program_counts(tmp_path: Path):
    timeline = Timeline.model_validate({"scenes": [{"src": "/in/film.mp4", "title": "Hello", "duration": 4}]})
    there_and_back(timeline, tmp_path)
    cut, _ = read_otio(tmp_path / "film.otio")
    cut.tracks[0][0].source_range = span(30, 60, 30)
    cut.tracks[1][0].source_range = span(30, 60, 30)
    write_otio(cut, tmp_path / "film.otio")

    made = from_otio(tmp_path / "film.otio").timeline["scenes"]

    assert made == [
        {"name": "film.mp4", "title": {"text": "Hello"}, "src": "/in/film.mp4", "trimStart": 1.0, "duration": 2.0}
    ]
