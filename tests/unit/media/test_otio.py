"""Import and export of timelines as OpenTimelineIO."""

import json
import re
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentimelineio import schema

from callsheet.domain.errors import ConfigurationError, NotFound
from callsheet.media.otio import library
from callsheet.media.otio.exporting import to_otio
from callsheet.media.otio.importing import OtioRejected, from_otio
from callsheet.media.otio.library import InvalidOtio, read_otio, write_otio
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.audio_placement import AudioPlacement, place_audio
from callsheet.media.rendering.overlay_placement import OverlayPlacement, place_overlays
from callsheet.media.rendering.schedule import Schedule, build_schedule
from callsheet.media.timeline.timeline import Timeline
from callsheet.media.values import parse_rate
from media.film import film

RATE = 24.0
SIZELESS = "the file has no video size; set one in output, or the settings decide"


def at(frames: float, rate: float = RATE) -> otio.opentime.RationalTime:
    return otio.opentime.RationalTime(frames, rate)


def span(start: float, length: float, rate: float = RATE) -> otio.opentime.TimeRange:
    return otio.opentime.TimeRange(at(start, rate), at(length, rate))


def clip(url: str, start: float, length: float, *, rate: float = RATE, speed: float = 1, **more: Any) -> schema.Clip:
    media = schema.ExternalReference(url, more.pop("available", None))
    imported = schema.Clip(more.pop("name", ""), media, span(start, length, rate), **more)
    if speed != 1:
        imported.effects.append(schema.LinearTimeWarp(time_scalar=speed))
    return imported


def dissolve(before: float, after: float, kind: str = "SMPTE_Dissolve") -> schema.Transition:
    return schema.Transition(transition_type=kind, in_offset=at(before), out_offset=at(after))


def gap(frames: float) -> schema.Gap:
    return schema.Gap(source_range=span(0, frames))


def saved(folder: Path, *rows: list[Any], audio: tuple[list[Any], ...] = ()) -> Path:
    timeline = schema.Timeline("cut")
    timeline.tracks.extend(schema.Track(f"V{n}", children=row, kind="Video") for n, row in enumerate(rows, 1))
    timeline.tracks.extend(schema.Track(f"A{n}", children=row, kind="Audio") for n, row in enumerate(audio, 1))
    path = folder / "the cut.otio"
    write_otio(timeline, path)
    return path


def scheduled(timeline: dict[str, Any], media_by_source: dict[str, MediaInfo] | None = None) -> Schedule:
    params = Timeline.model_validate(timeline)
    media = [(media_by_source or {}).get(str(s.src.root)) if s.src else None for s in params.scenes]
    return build_schedule(params.scenes, media, parse_rate(params.output.fps))


def test_clips_become_scenes_with_their_trims(tmp_path: Path):
    whole = span(86_400, 240)
    path = saved(
        tmp_path,
        [clip("file:///in/a%20b%231.mp4", 86_448, 72, available=whole, name="first"), clip("sub/c.mp4", 12, 36)],
    )

    imported = from_otio(path)

    assert imported.timeline == {
        "scenes": [
            {"name": "first", "src": "/in/a b#1.mp4", "trimStart": 2.0, "duration": 3.0},
            {"src": str(tmp_path / "sub/c.mp4"), "trimStart": 0.5, "duration": 1.5},
        ],
        "output": {"fps": 24},
    }
    assert imported.notes == (SIZELESS,)


def test_transitions_keep_the_length(tmp_path: Path):
    row = [clip("/a.mp4", 24, 72), dissolve(12, 6), clip("/b.mp4", 48, 72, speed=2), dissolve(4, 4), gap(24)]
    path = saved(tmp_path, row)

    imported = from_otio(path)
    first, second, third = imported.timeline["scenes"]
    schedule = scheduled(imported.timeline)

    assert schedule.frames == 72 + 72 + 24
    assert (first["trimStart"], first["duration"]) == (1.0, (72 + 6) / 24)
    assert first["transition"] == {"type": "fade", "duration": 18 / 24}
    assert second["trimStart"] == 2.0 - 2 * 0.5, "at twice its speed, half a second takes a second of it"
    assert (second["speed"], second["duration"]) == (2.0, 3.666667)
    assert third == {"color": "#000000", "duration": pytest.approx(28 / 24, abs=1e-6)}
    assert [(shot.start, shot.end) for shot in schedule.shots] == [(0, 78), (60, 148), (140, 168)]


def test_a_transition_is_limited_by_the_start_of_its_media(tmp_path: Path):
    row = [clip("/a.mp4", 0, 48), dissolve(12, 6), clip("/b.mp4", 4, 48), dissolve(6, 6), clip("/photo.PNG", 0, 48)]

    imported = from_otio(saved(tmp_path, row))

    assert [scene.get("transition", {}).get("duration") for scene in imported.timeline["scenes"]] == [
        0.416667,
        0.5,
        None,
    ]
    assert "trimStart" not in imported.timeline["scenes"][1]
    assert scheduled(imported.timeline).frames == 144
    assert "0.333333 s shorter" in imported.notes[1]


def test_transitions_at_the_ends_become_fades(tmp_path: Path):
    imported = from_otio(saved(tmp_path, [dissolve(0, 12), clip("/a.mp4", 0, 48), dissolve(6, 0)]))

    assert imported.timeline["scenes"] == [{"fadeIn": 0.5, "fadeOut": 0.25, "src": "/a.mp4", "duration": 2.0}]


def test_broadcast_rates_are_exact(tmp_path: Path):
    row = [clip("/a.mp4", 0, 10_000, rate=29.97), clip("/b.mp4", 0, 1_001, rate=29.97)]

    imported = from_otio(saved(tmp_path, row))

    assert imported.timeline["output"]["fps"] == "30000/1001"
    assert imported.timeline["scenes"][0]["duration"] == pytest.approx(float(10_000 * Fraction(1001, 30000)), abs=1e-6)
    assert [shot.frames for shot in scheduled(imported.timeline).shots] == [10_000, 1_001]


def test_clips_at_other_rates_do_not_shift_the_edit_points(tmp_path: Path):
    row = [clip("/a.mp4", 0, 24), *(clip("/b.mp4", 0, 5, rate=50) for _ in range(30)), clip("/c.mp4", 0, 24)]

    imported = from_otio(saved(tmp_path, row))

    assert scheduled(imported.timeline).frames == 24 + 72 + 24


def test_known_transitions_are_kept_and_others_become_fades(tmp_path: Path):
    a, b = clip("/a.mp4", 48, 72), clip("/b.mp4", 48, 72)
    path = saved(tmp_path, [a, dissolve(5, 5, "Wipe_Left"), b, dissolve(5, 5, "Cube_Spin"), clip("/c.mp4", 48, 72)])

    imported = from_otio(path)

    assert [s["transition"]["type"] for s in imported.timeline["scenes"][:2]] == ["wipeleft", "fade"]
    assert imported.notes == (
        SIZELESS,
        "tracks.children[0].children[2]: the transition 'Cube_Spin' was replaced by a fade",
    )


def test_more_video_tracks_become_overlays(tmp_path: Path):
    overlay_summary = [
        gap(24),
        clip("/b.mp4", 24, 24),
        dissolve(6, 6),
        clip("/c.mp4", 24, 24, speed=0.5),
        dissolve(6, 6),
        gap(120),
    ]

    imported = from_otio(saved(tmp_path, [clip("/a.mp4", 0, 96)], overlay_summary))

    assert imported.timeline["tracks"] == [
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
    assert [s.get("color") for s in imported.timeline["scenes"]] == [None, "#000000"], (
        "the video is as long as the file"
    )
    assert scheduled(imported.timeline).frames == 192


def test_a_scene_keeps_its_own_audio_and_others_are_muted(tmp_path: Path):
    video = [clip("/a.mp4", 0, 48), clip("/b.mp4", 0, 48), clip("/photo.jpg", 0, 48)]
    audio = [clip("/a.mp4", 0, 48), clip("/voice.wav", 48_000, 96_000, rate=48_000)]

    imported = from_otio(saved(tmp_path, video, audio=(audio,)))

    assert [scene.get("mute", False) for scene in imported.timeline["scenes"]] == [False, True, False]
    assert imported.timeline["tracks"] == [
        {"type": "audio", "clips": [{"src": "/voice.wav", "start": 2.0, "duration": 2.0, "trimStart": 1.0}]}
    ]


def test_audio_with_other_edit_points_than_its_video_is_kept_separately(tmp_path: Path):
    video = [clip("/a.mp4", 0, 48), dissolve(6, 6), clip("/b.mp4", 12, 48)]
    audio = [clip("/a.mp4", 0, 48), clip("/b.mp4", 12, 48)]

    imported = from_otio(saved(tmp_path, video, audio=(audio,)))

    assert [scene.get("mute") for scene in imported.timeline["scenes"]] == [True, True]
    assert [(c["start"], c["duration"]) for c in imported.timeline["tracks"][0]["clips"]] == [(0.0, 2.0), (2.0, 2.0)]


def test_audio_cross_fades_overlap(tmp_path: Path):
    audio = [clip("/x.wav", 24, 24), dissolve(6, 6), clip("/y.wav", 24, 24)]

    imported = from_otio(saved(tmp_path, [clip("/a.mp4", 0, 48)], audio=(audio,)))

    assert imported.timeline["tracks"][0]["clips"] == [
        {"src": "/x.wav", "start": 0.0, "duration": 1.25, "trimStart": 1.0, "fadeOut": 0.5},
        {"src": "/y.wav", "start": 0.75, "duration": 1.25, "trimStart": 0.75, "fadeIn": 0.5},
    ]


def test_everything_unsupported_is_reported_at_once(tmp_path: Path):
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
        "tracks.children[0].children[3]: 'lost' has no media file, but a MissingReference; relink it"
    )


def test_omissions_are_noted(tmp_path: Path):
    blurred, off = clip("/a.mp4", 0, 24, name="soft"), clip("/b.mp4", 0, 24, name="unused")
    blurred.effects.append(schema.Effect(effect_name="GaussianBlur"))
    blurred.markers.append(schema.Marker("here"))
    off.enabled = False

    imported = from_otio(saved(tmp_path, [blurred, off]))

    assert imported.notes == (
        "tracks.children[0].children[0]: the effect 'GaussianBlur' of 'soft' was left out",
        "tracks.children[0].children[1]: 'unused' is disabled and was left out",
        "markers were left out (1)",
        SIZELESS,
    )
    assert imported.timeline["scenes"][1] == {"color": "#000000", "duration": 1.0}


def test_urls_and_media_sources_are_kept(tmp_path: Path):
    (tmp_path / "100% it's.mp4").touch()
    urls = ["https://example.com/a%20b.mp4?key=1", "storage:uploads/a.mp4", "100% it's.mp4", "not%20there.mp4"]

    imported = from_otio(saved(tmp_path, [clip(url, 0, 24) for url in urls]))

    assert [scene["src"] for scene in imported.timeline["scenes"]] == [
        *urls[:2],
        str(tmp_path / "100% it's.mp4"),
        str(tmp_path / "not there.mp4"),
    ]


def test_a_bundle_is_unpacked_next_to_itself(tmp_path: Path):
    (tmp_path / "clip.mp4").write_bytes(b"video")
    timeline = schema.Timeline("cut")
    timeline.tracks.append(schema.Track("V", children=[clip((tmp_path / "clip.mp4").as_uri(), 0, 24)]))
    otio.adapters.write_to_file(timeline, str(tmp_path / "cut.otioz"))

    imported = [from_otio(tmp_path / name) for name in ("cut.otioz", "cut.otioz", "cut.otiod")]

    assert {m.timeline["scenes"][0]["src"] for m in imported} == {str(tmp_path / "cut.otiod/media/clip.mp4")}
    assert (tmp_path / "cut.otiod/media/clip.mp4").read_bytes() == b"video"


@pytest.mark.parametrize(("value", "rate"), [(float("nan"), 24), (float("inf"), 24), (1, 0), (1, float("nan"))])
def test_invalid_times_are_rejected(tmp_path: Path, value: float, rate: float):
    path = saved(tmp_path, [clip("/a.mp4", 0, 24)])
    timeline, _ = read_otio(path)
    timeline.tracks[0][0].source_range = span(value, 24, rate)
    write_otio(timeline, path)

    with pytest.raises(InvalidOtio, match=r"an invalid (time|rate)"):
        from_otio(path)


@pytest.mark.parametrize("text", ["", "{", '{"OTIO_SCHEMA": "Clip.2"}', '{"a": 1}', "[]", '{"OTIO_SCHEMA": "No.1"}'])
def test_invalid_files_are_rejected(tmp_path: Path, text: str):
    (tmp_path / "x.otio").write_text(text)

    with pytest.raises(InvalidOtio, match=r"x\.otio'"):
        from_otio(tmp_path / "x.otio")
    with pytest.raises(NotFound):
        from_otio(tmp_path / "y.otio")
    (tmp_path / "x.otioz").write_text(text)
    with pytest.raises(InvalidOtio, match="cannot be unpacked"):
        from_otio(tmp_path / "x.otioz")


def test_without_the_package_the_error_names_the_install_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(library.importlib, "import_module", missing)

    with pytest.raises(ConfigurationError, match=r"pip install 'callsheet\[otio\]'"):
        read_otio(tmp_path / "a.otio")


# Round trip

SOURCES = {
    "/in/film.mp4": (10.0, True),
    "/in/silent film.mp4": (7.3, False),
    "/in/photo.png": (None, False),
    "https://example.com/clip.mp4?key=1": (8.0, True),
    "/in/voice.wav": (5.1, True),
}


def footage(source: str) -> MediaInfo:
    seconds, has_audio = SOURCES[source]
    media = film(
        Path("/got") / Path(source).name, seconds, width=640, height=360, audio_codec="aac" if has_audio else None
    )
    return replace(media, still=seconds is None, video_seconds=None)


def placed(
    timeline: Timeline,
) -> tuple[dict[str, MediaInfo], Schedule, list[OverlayPlacement], list[AudioPlacement]]:
    media = {field: footage(str(source.root)) for field, source in timeline.media()}
    scene_footage = [media.get(f"scenes[{n}]") for n in range(len(timeline.scenes))]
    schedule = build_schedule(timeline.scenes, scene_footage, parse_rate(timeline.output.fps))
    overlays = place_overlays(timeline, media, schedule)
    return media, schedule, overlays, place_audio(timeline, media, overlays, schedule)


def round_trip(timeline: Timeline, folder: Path) -> tuple[Timeline, tuple[str, ...]]:
    media, schedule, overlays, _ = placed(timeline)
    exported = to_otio(timeline, media, schedule, overlays, name="film", folder=Path("/"))
    write_otio(exported.timeline, folder / "film.otio")
    assert exported.timeline.tracks[0].duration().to_frames() == schedule.frames
    return Timeline.model_validate(from_otio(folder / "film.otio").timeline), exported.notes


def scene_summary(timeline: Timeline) -> list[Any]:
    """The visible parts of the scenes, with their times."""
    _, schedule, _, _ = placed(timeline)
    return [
        (
            shot.start, shot.frames, shot.blend_in, shot.blend_out, shot.has_audio,
            shot.scene.color if shot.scene.src is None else shot.scene.src.root,
            None if shot.footage is None or shot.footage.still else pytest.approx(shot.scene.trim_start, abs=2e-6),
            None if shot.footage is None or shot.footage.still else shot.scene.speed,
            (transition.type, transition.audio_curve) if (transition := shot.scene.effective_transition) else None,
            shot.scene.fit, shot.scene.volume, shot.scene.fade_in, shot.scene.title,
        )
        for shot in schedule.shots
    ]  # fmt: skip


def overlay_summary(timeline: Timeline) -> list[Any]:
    """The overlays, sorted: overlays that do not overlap may be stacked in another order."""
    _, _, overlays, _ = placed(timeline)
    unplaced = {"start", "duration", "mute"}
    return sorted(
        (
            (placement.start, placement.frames, placement.has_audio, placement.overlay.model_dump(exclude=unplaced))
            for placement in overlays
        ),
        key=str,
    )


def audio_summary(timeline: Timeline) -> list[Any]:
    """The placed audio. Trims are rounded, because exports store microseconds."""
    _, _, _, placements = placed(timeline)
    return sorted(
        (replace(s, trim_start=round(s.trim_start, 4), volume=round(s.volume, 6)) for s in placements), key=str
    )


def milliseconds(minimum: int, maximum: int) -> st.SearchStrategy[float]:
    return st.integers(minimum, maximum).map(lambda n: n / 1000)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    scenes = [draw(scene()) for _ in range(draw(st.integers(1, 5)))]
    scenes[-1].pop("transition", None)
    fps = draw(st.sampled_from([30, 25, 24, "30000/1001", 23.976, 60]))
    tracks = draw(st.lists(st.one_of(video_track(), audio_track()), max_size=2))
    timeline = {
        "scenes": scenes,
        "tracks": tracks,
        "audioClips": draw(st.lists(audio_clip(), max_size=3)),
        "output": {"fps": fps, "width": 320, "height": 180},
        "loudness": draw(st.sampled_from([None, False, -18])),
    }
    if draw(st.booleans()):
        timeline["soundtrack"] = {"src": "/in/voice.wav", "loop": draw(st.booleans()), "fadeOut": 1, "duck": True}
    return Timeline.model_validate(timeline)


@st.composite
def scene(draw: st.DrawFn) -> dict[str, Any]:
    transition = draw(st.sampled_from([None, None, "fade", "wipeleft", {"type": "fade", "audioCurve": "qsin"}]))
    effective = {"type": transition} if isinstance(transition, str) else transition
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
    if effective is not None:
        more["transition"] = {**effective, "duration": draw(milliseconds(1, 500))}
    kind = draw(st.sampled_from(["color", *(name for name in SOURCES if "voice" not in name)]))
    if kind == "color":
        return {**more, "color": "#102030", "duration": draw(milliseconds(1100, 3000))}
    more["speed"] = draw(st.sampled_from([1, 1, 0.5, 2.0, 1.37]))
    return {**more, "src": kind, "trimStart": draw(milliseconds(0, 3000)), "duration": draw(milliseconds(1100, 3000))}


@st.composite
def video_track(draw: st.DrawFn) -> dict[str, Any]:
    return {"clips": draw(st.lists(st.one_of(video_overlay(), text()), min_size=1, max_size=3))}


@st.composite
def video_overlay(draw: st.DrawFn) -> dict[str, Any]:
    src = draw(st.sampled_from(["/in/film.mp4", "/in/silent film.mp4", "/in/photo.png"]))
    placed = {"src": src, "start": draw(milliseconds(0, 900)), "duration": draw(milliseconds(20, 900))}
    return {**placed, "trimStart": draw(milliseconds(0, 900)) if "photo" not in src else 0, "scale": 0.5}


@st.composite
def text(draw: st.DrawFn) -> dict[str, Any]:
    return {"text": "Über {Text}", "start": draw(milliseconds(0, 900)), "color": "red"}


@st.composite
def audio_track(draw: st.DrawFn) -> dict[str, Any]:
    return {"type": "audio", "clips": draw(st.lists(audio_clip(), min_size=1, max_size=3)), "volume": 0.5}


@st.composite
def audio_clip(draw: st.DrawFn) -> dict[str, Any]:
    placed = {"src": "/in/voice.wav", "start": draw(milliseconds(0, 900)), "duration": draw(milliseconds(50, 900))}
    return {**placed, "trimStart": draw(milliseconds(0, 900)), "fadeIn": 0.01, "speed": draw(st.sampled_from([1, 1.5]))}


@given(timeline=timelines())
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_an_exported_timeline_is_imported_as_the_same_video(tmp_path: Path, timeline: Timeline):
    back, _ = round_trip(timeline, tmp_path)

    assert scene_summary(back) == scene_summary(timeline)
    assert overlay_summary(back) == overlay_summary(timeline)
    assert audio_summary(back) == audio_summary(timeline)
    assert (back.loudness, back.output) == (timeline.loudness, timeline.output)


def test_features_that_otio_cannot_represent_are_kept_and_noted(tmp_path: Path):
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

    back, notes = round_trip(timeline, tmp_path)

    shown = json.dumps(back.model_dump(mode="json", exclude_unset=True))
    assert [scene_summary(back)[n][:4] for n in range(4)] == [scene_summary(timeline)[n][:4] for n in range(4)]
    assert back.overlays == timeline.overlays
    assert back.captions == timeline.captions
    assert back.scenes[0].crop == timeline.scenes[0].crop
    assert back.scenes[1].motion == timeline.scenes[1].motion
    assert "zoom_in" in shown
    assert notes == (
        "other programs do not see texts, overlays, captions, fit, crop and filters, camera motion; "
        "the metadata of the file keeps them for Callsheet",
        "other programs may show other transitions instead of circleopen",
    )


def test_relative_paths_start_from_the_folder_of_the_timeline(tmp_path: Path):
    clip = {"src": "film.mp4", "overlays": [{"src": "./logo.png"}]}
    timeline = Timeline.model_validate({"scenes": [clip], "soundtrack": "https://example.com/m.mp3"})
    media = {field: footage("/in/film.mp4") for field, _ in timeline.media()}
    schedule = build_schedule(timeline.scenes, [media["scenes[0]"]], Fraction(30))

    exported = to_otio(
        timeline,
        media,
        schedule,
        place_overlays(timeline, media, schedule),
        name="x",
        folder=Path("/my films"),
    )
    write_otio(exported.timeline, tmp_path / "x.otio")
    back = Timeline.model_validate(from_otio(tmp_path / "x.otio").timeline)

    assert exported.timeline.tracks[0][0].media_reference.target_url == "file:///my%20films/film.mp4"
    assert [source.root for _, source in back.media()] == [
        "/my films/film.mp4", "/my films/logo.png", "https://example.com/m.mp3",
    ]  # fmt: skip


def test_a_change_by_another_program_is_imported(tmp_path: Path):
    timeline = Timeline.model_validate({"scenes": [{"src": "/in/film.mp4", "title": "Hello", "duration": 4}]})
    round_trip(timeline, tmp_path)
    exported, _ = read_otio(tmp_path / "film.otio")
    exported.tracks[0][0].source_range = span(30, 60, 30)
    exported.tracks[1][0].source_range = span(30, 60, 30)
    write_otio(exported, tmp_path / "film.otio")

    imported = from_otio(tmp_path / "film.otio").timeline["scenes"]

    assert imported == [
        {"name": "film.mp4", "title": {"text": "Hello"}, "src": "/in/film.mp4", "trimStart": 1.0, "duration": 2.0}
    ]


def test_a_deeply_nested_file_is_rejected(tmp_path: Path):
    path = tmp_path / "deep.otio"
    path.write_text('{"OTIO_SCHEMA": "Timeline.1", "metadata": {"a": ' + "[" * 200_000 + "]" * 200_000 + "}}")

    # The library would end the process.
    with pytest.raises(InvalidOtio, match="nested too deeply"):
        read_otio(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"../outside.txt": b"x"}, "an entry outside of its folder: '../outside.txt'"),
        ({"/outside.txt": b"x"}, "an entry outside of its folder: '/outside.txt'"),
        ({"media/a.mov": bytes(150 * 2**20)}, "to 157,286,400 bytes; at most"),
        ({f"media/{number}": b"" for number in range(10_001)}, "10,001 entries; at most 10,000 are allowed"),
    ],
    ids=["parent", "absolute", "bomb", "entries"],
)
def test_a_hostile_bundle_is_rejected_before_it_is_unpacked(tmp_path, entries, message):
    bundle = tmp_path / "cut.otioz"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)

    with pytest.raises(InvalidOtio, match=re.escape(message)):
        from_otio(bundle)

    assert list(tmp_path.iterdir()) == [bundle]


def test_a_bundle_with_a_false_size_of_an_entry_is_rejected(tmp_path):
    bundle = tmp_path / "cut.otioz"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("content.otio", bytes(10_000_000))
    data = bundle.read_bytes()
    bundle.write_bytes(data.replace((10_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))

    with pytest.raises(InvalidOtio, match="cannot be unpacked"):
        from_otio(bundle)

    assert list(tmp_path.iterdir()) == [bundle]
