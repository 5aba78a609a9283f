from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import BadParams
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import segments
from callsheet.media.rendering.audio_placement import frame_to_sample
from callsheet.media.rendering.schedule import Schedule, build_schedule
from callsheet.media.timeline.scene import Scene


def video(seconds: float, **probe: object) -> MediaInfo:
    facts = {"duration": seconds, "width": 1920, "height": 1080, "fps": 30.0, **probe}
    return MediaInfo(Path("/in/a.mp4"), Probe.model_validate(facts), video_seconds=seconds)


def still() -> MediaInfo:
    return MediaInfo(Path("/in/a.png"), Probe.model_validate({"width": 400, "height": 300}), still=True)


def scheduled(*scenes: tuple[dict[str, object], MediaInfo | None], rate: Fraction = Fraction(30)) -> Schedule:
    return build_schedule([Scene.model_validate(s) for s, _ in scenes], [f for _, f in scenes], rate)


def test_scenes_with_a_transition_overlap():
    fade = {"type": "fade", "duration": 0.5}
    schedule = scheduled(
        ({"src": "a", "transition": fade}, video(3)),
        ({"src": "b", "transition": {"type": "wipeleft", "duration": 1}}, video(2)),
        ({"color": "red", "duration": 2}, None),
    )

    assert [(s.start, s.end, s.blend_in, s.blend_out) for s in schedule.shots] == [
        (0, 90, 0, 15),
        (75, 135, 15, 30),
        (105, 165, 30, 0),
    ]
    assert schedule.seconds == 3 + 2 + 2 - 0.5 - 1


def test_default_lengths_come_from_the_sources():
    schedule = scheduled(({"src": "a", "trim_start": 1}, video(3)), ({"src": "b"}, still()), ({"color": "red"}, None))

    assert [shot.frames for shot in schedule.shots] == [60, 120, 120]


def test_a_transition_longer_than_its_scene_is_rejected():
    with pytest.raises(BadParams) as caught:
        scheduled(
            ({"src": "a", "transition": {"duration": 0.6}}, video(3)),
            ({"src": "b", "transition": {"duration": 0.6}}, video(1)),
            ({"src": "c"}, video(0.2)),
        )

    assert [problem.path for problem in caught.value.problems] == ["scenes[1]", "scenes[2]"]


@pytest.mark.parametrize(
    ("scene", "footage", "code"),
    [
        (
            {"src": "a", "type": "video"},
            MediaInfo(Path("a"), Probe.model_validate({"audio_codec": "aac"})),
            "no_picture",
        ),
        ({"src": "a", "type": "image"}, video(1), "not_an_image"),
        ({"src": "a", "type": "video"}, still(), "not_a_video"),
        ({"src": "a", "motion": "zoom_in"}, video(1), "not_an_image"),
        ({"src": "a", "trim_start": 5}, video(3), "out_of_range"),
    ],
)
def test_scenes_that_do_not_match_their_files_are_rejected(scene: dict[str, object], footage: MediaInfo, code: str):
    with pytest.raises(BadParams) as caught:
        scheduled((scene, footage))

    assert [problem.code for problem in caught.value.problems] == [code]


@given(
    lengths=st.lists(st.integers(4, 90), min_size=1, max_size=12),
    blends=st.lists(st.integers(0, 2), min_size=12, max_size=12),
    rate=st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(60)]),
)
def test_segments_cover_every_frame_once(lengths: list[int], blends: list[int], rate: Fraction):
    scenes = []
    for number, frames in enumerate(lengths):
        transition = {"duration": float(blends[number] / rate)} if number + 1 < len(lengths) else None
        scenes.append(({"color": "red", "duration": float(frames / rate), "transition": transition}, None))
    schedule = scheduled(*scenes, rate=rate)

    split = segments.split_segments(schedule, max_seconds=1)

    assert [p.start for p in split] == [0, *[p.end for p in split[:-1]]]
    assert split[-1].end == schedule.frames == sum(lengths) - sum(blends[: len(lengths) - 1])
    assert all(0 < p.frames <= max(2, round(rate)) for p in split)
    for segment in split:
        seen = {s.number for s in schedule.shots if s.start < segment.end and segment.start < s.end}
        assert seen == {shot.number for shot in segment.shots}
    parts = [frame_to_sample(s.end, rate) - frame_to_sample(s.start, rate) for s in schedule.shots]
    shared = [frame_to_sample(s.start + s.blend_in, rate) - frame_to_sample(s.start, rate) for s in schedule.shots]
    assert sum(parts) - sum(shared) == frame_to_sample(schedule.frames, rate)


def test_a_gap_between_scenes_shows_the_background():
    schedule = scheduled(({"src": "a"}, video(2)), ({"src": "b", "start": 3}, video(1)))

    assert [(s.number, s.start, s.end, s.scene.color) for s in schedule.shots] == [
        (0, 0, 60, None),
        (1, 60, 90, "#000000"),
        (1, 90, 120, None),
    ]


@pytest.mark.parametrize(
    ("first", "start", "code"),
    [
        ({"src": "a"}, 1.5, "scenes_overlap"),
        ({"src": "a", "transition": "fade"}, 3, "transition_over_gap"),
    ],
)
def test_a_start_that_contradicts_the_scene_before_is_rejected(first: dict[str, object], start: float, code: str):
    with pytest.raises(BadParams) as caught:
        scheduled((first, video(2)), ({"src": "b", "start": start}, video(1)))

    assert [(p.path, p.code) for p in caught.value.problems] == [("scenes[1].start", code)]


def test_the_length_of_a_scene_follows_from_speed_and_trims():
    schedule = scheduled(
        ({"src": "a", "trim_start": 1, "trim_end": 2}, video(3)),
        ({"src": "a", "speed": 2}, video(3)),
        ({"src": "a", "speed": 0.5, "trim_start": 2}, video(3)),
    )

    assert [shot.frames for shot in schedule.shots] == [30, 45, 60]
