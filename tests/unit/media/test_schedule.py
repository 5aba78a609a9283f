from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import BadParams
from callsheet.media import segments
from callsheet.media.encoders import x264
from callsheet.media.inputs import MEDIA_FORMATS
from callsheet.media.picture import Canvas
from callsheet.media.probe import Footage
from callsheet.media.schedule import Schedule, schedule
from callsheet.media.segments import Script
from callsheet.media.sound import samples
from callsheet.media.timeline import Scene


def film(seconds: float, **more: object) -> Footage:
    facts = {"duration": seconds, "width": 1920, "height": 1080, "fps": 30.0, **more}
    return Footage(Path("/in/a.mp4"), Probe.model_validate(facts), picture_seconds=seconds)


def still() -> Footage:
    return Footage(Path("/in/a.png"), Probe.model_validate({"width": 400, "height": 300}), still=True)


def planned(*scenes: tuple[dict[str, object], Footage | None], rate: Fraction = Fraction(30)) -> Schedule:
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
        ({"src": "a"}, Footage(Path("a"), Probe.model_validate({"audio_codec": "aac"})), "no_picture"),
        ({"src": "a", "type": "image"}, film(1), "not_an_image"),
        ({"src": "a", "type": "video"}, still(), "not_a_video"),
        ({"src": "a", "motion": "zoom_in"}, film(1), "not_an_image"),
        ({"src": "a", "trim_start": 5}, film(3), "beyond_the_end"),
    ],
)
def test_scenes_that_do_not_fit_their_files_are_refused(scene: dict[str, object], footage: Footage, code: str):
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

    pieces = segments.cut(plan, longest=1)

    assert [p.start for p in pieces] == [0, *[p.end for p in pieces[:-1]]]
    assert pieces[-1].end == plan.frames == sum(lengths) - sum(blends[: len(lengths) - 1])
    assert all(0 < p.frames <= max(2, round(rate)) for p in pieces)
    for piece in pieces:
        seen = {s.number for s in plan.shots if s.start < piece.end and piece.start < s.end}
        assert seen == {shot.number for shot in piece.shots}
    parts = [samples(s.end, rate) - samples(s.start, rate) for s in plan.shots]
    shared = [samples(s.start + s.blend_in, rate) - samples(s.start, rate) for s in plan.shots]
    assert sum(parts) - sum(shared) == samples(plan.frames, rate)


def test_a_piece_is_one_command():
    plan = planned(({"src": "a", "trim_start": 2, "transition": "fade"}, film(5)), ({"src": "b"}, film(3)))
    body, passing, _ = segments.cut(plan)
    canvas = Canvas(1080, 1920, Fraction(30))
    encoder = x264(preset="fast", crf=20)
    scripts = [Script("titles.ass", ((10.0, 11.0),))]
    guard = ["-protocol_whitelist", "file,pipe", "-format_whitelist", MEDIA_FORMATS, "-max_pixels", "100000000"]

    words = segments.arguments(body, canvas, scripts, encoder, threads=1, output="piece.mp4")

    assert words == [
        *["-copyts", "-start_at_zero", "-threads", "1", "-noaccurate_seek", *guard],
        *["-ss", "1.000000", "-i", "file:/in/a.mp4"],
        "-filter_complex",
        "[0:v:0]setpts=expr=PTS-2/TB[n0];[n0]fps=fps=30/1[n1];[n1]tpad=stop=-1:stop_mode=clone[n2];"
        "[n2]trim=start_pts=0:end_pts=75[n3];[n3]setpts=expr=PTS-STARTPTS[n4];"
        "[n4]crop=w=iw*0.316406:h=ih*1.000000[n5];"
        "[n5]scale=w=1080:h=1920:out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int[n6];[n6]setsar=sar=1[n7];"
        "[n7]setsar=sar=1[n8];[n8]settb=expr=1/30[n9];[n9]format=pix_fmts=yuv420p[n10];"
        "[n10]format=pix_fmts=yuv420p[n11];[n11]trim=end_frame=75[n12]",
        *["-map", "[n12]", "-an", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"],
        *["-frames:v", "75", "-r", "30/1", "-c:v", "libx264", "-preset", "fast", "-crf", "20", "-g", "120"],
        *["-threads", "1", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709"],
        *["-color_trc", "bt709", "-color_range", "tv", "-video_track_timescale", "10020"],
        *["-f", "mp4", "file:piece.mp4"],
    ]
    both = " ".join(segments.arguments(passing, canvas, scripts, encoder, threads=1, output="piece.mp4"))
    assert both.count("-i file:") == 2
    assert "xfade=transition=fade:duration=0.5:offset=0" in both
    assert "subtitles" not in both


def test_a_piece_draws_only_the_text_seen_in_it():
    plan = planned(({"color": "red", "duration": 60}, None))
    pieces = segments.cut(plan)
    scripts = [Script("titles.ass", ((25.0, 26.0),)), Script("given.ass")]
    canvas = Canvas(64, 64, Fraction(30))

    words = [
        " ".join(segments.arguments(p, canvas, scripts, x264(preset="fast", crf=20), threads=1, output="x"))
        for p in pieces
    ]

    assert ["titles.ass" in w for w in words] == [False, True, False]
    assert all("given.ass" in w for w in words)
