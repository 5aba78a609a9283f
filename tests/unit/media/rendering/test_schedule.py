from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import BadParams
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import segments
from callsheet.media.rendering.audio_mix import samples
from callsheet.media.rendering.schedule import Schedule, schedule
from callsheet.media.timeline.scene import Scene


def film(seconds: float, **more: object) -> MediaInfo:
    facts = {"duration": seconds, "width": 1920, "height": 1080, "fps": 30.0, **more}
    return MediaInfo(Path("/in/a.mp4"), Probe.model_validate(facts), video_seconds=seconds)


def still() -> MediaInfo:
    return MediaInfo(Path("/in/a.png"), Probe.model_validate({"width": 400, "height": 300}), still=True)


def planned(*scenes: tuple[dict[str, object], MediaInfo | None], rate: Fraction = Fraction(30)) -> Schedule:
    return schedule([Scene.model_validate(s) for s, _ in scenes], [f for _, f in scenes], rate)


def test_scenes_that_pass_into_each_other_overlap():
    fade = {"type": "fade", "duration": 0.5}
    plan = planned(
        ({"src": "a", "transition": fade}, film(3)),
        ({"src": "b", "transition": {"type": "wipeleft", "duration": 1}}, film(2)),
        ({"color": "red", "duration": 2}, None),
    )

    assert [(s.start, s.end, s.blend_in, s.blend_out) for s in plan.shots] == [
        (0, 90, 0, 15),
        (75, 135, 15, 30),
        (105, 165, 30, 0),
    ]
    assert plan.seconds == 3 + 2 + 2 - 0.5 - 1


def test_lengths_follow_from_the_sources():
    plan = planned(({"src": "a", "trim_start": 1}, film(3)), ({"src": "b"}, still()), ({"color": "red"}, None))

    assert [shot.frames for shot in plan.shots] == [60, 120, 120]


def test_a_transition_longer_than_its_scene_is_refused():
    with pytest.raises(BadParams) as caught:
        planned(
            ({"src": "a", "transition": {"duration": 0.6}}, film(3)),
            ({"src": "b", "transition": {"duration": 0.6}}, film(1)),
            ({"src": "c"}, film(0.2)),
        )

    assert [problem.path for problem in caught.value.problems] == ["scenes[1]", "scenes[2]"]


@pytest.mark.parametrize(
    ("scene", "footage", "code"),
    [
        ({"src": "a"}, MediaInfo(Path("a"), Probe.model_validate({"audio_codec": "aac"})), "no_picture"),
        ({"src": "a", "type": "image"}, film(1), "not_an_image"),
        ({"src": "a", "type": "video"}, still(), "not_a_video"),
        ({"src": "a", "motion": "zoom_in"}, film(1), "not_an_image"),
        ({"src": "a", "trim_start": 5}, film(3), "out_of_range"),
    ],
)
def test_scenes_that_do_not_fit_their_files_are_refused(scene: dict[str, object], footage: MediaInfo, code: str):
    with pytest.raises(BadParams) as caught:
        planned((scene, footage))

    assert [problem.code for problem in caught.value.problems] == [code]


@given(
    lengths=st.lists(st.integers(4, 90), min_size=1, max_size=12),
    blends=st.lists(st.integers(0, 2), min_size=12, max_size=12),
    rate=st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(60)]),
)
def test_pieces_cover_every_frame_once(lengths: list[int], blends: list[int], rate: Fraction):
    scenes = []
    for number, frames in enumerate(lengths):
        passing = {"duration": float(blends[number] / rate)} if number + 1 < len(lengths) else None
        scenes.append(({"color": "red", "duration": float(frames / rate), "transition": passing}, None))
    plan = planned(*scenes, rate=rate)

    pieces = segments.split_segments(plan, longest=1)

    assert [p.start for p in pieces] == [0, *[p.end for p in pieces[:-1]]]
    assert pieces[-1].end == plan.frames == sum(lengths) - sum(blends[: len(lengths) - 1])
    assert all(0 < p.frames <= max(2, round(rate)) for p in pieces)
    for piece in pieces:
        seen = {s.number for s in plan.shots if s.start < piece.end and piece.start < s.end}
        assert seen == {shot.number for shot in piece.shots}
    parts = [samples(s.end, rate) - samples(s.start, rate) for s in plan.shots]
    shared = [samples(s.start + s.blend_in, rate) - samples(s.start, rate) for s in plan.shots]
    assert sum(parts) - sum(shared) == samples(plan.frames, rate)


def test_a_gap_between_scenes_shows_the_background():
    plan = planned(({"src": "a"}, film(2)), ({"src": "b", "start": 3}, film(1)))

    assert [(s.number, s.start, s.end, s.scene.color) for s in plan.shots] == [
        (0, 0, 60, None),
        (1, 60, 90, "#000000"),
        (1, 90, 120, None),
    ]


@pytest.mark.parametrize(
    ("first", "start", "code"),
    [
        ({"src": "a"}, 1.5, "scenes_overlap"),
        ({"src": "a", "transition": "fade"}, 3, "transition_over_a_gap"),
    ],
)
def test_a_scene_cannot_start_where_another_one_is(first: dict[str, object], start: float, code: str):
    with pytest.raises(BadParams) as caught:
        planned((first, film(2)), ({"src": "b", "start": start}, film(1)))

    assert [(p.path, p.code) for p in caught.value.problems] == [("scenes[1].start", code)]


def test_speed_and_trims_decide_how_long_a_scene_is():
    plan = planned(
        ({"src": "a", "trim_start": 1, "trim_end": 2}, film(3)),
        ({"src": "a", "speed": 2}, film(3)),
        ({"src": "a", "speed": 0.5, "trim_start": 2}, film(3)),
    )

    assert [shot.frames for shot in plan.shots] == [30, 45, 60]
