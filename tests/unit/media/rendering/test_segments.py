from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from callsheet.domain.artifacts import Probe
from callsheet.media.encoding.encoders import Encoder, EncodeSettings
from callsheet.media.ffmpeg.inputs import MEDIA_FORMATS
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import cache_keys, segment_commands, segments
from callsheet.media.rendering.layers import place_layers
from callsheet.media.rendering.overlays import Above, AssScript, TextLayer
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule, schedule
from callsheet.media.rendering.segment_commands import compile_segments
from callsheet.media.rendering.segments import Segment
from callsheet.media.subtitles.ass import Line
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.timeline.scene import Scene
from callsheet.media.timeline.timeline import Timeline

CANVAS = Canvas(1080, 1920, Fraction(30))
ENCODER = Encoder("libx264", EncodeSettings(preset="fast", crf=20))
GUARD = ["-protocol_whitelist", "file,pipe", "-format_whitelist", MEDIA_FORMATS, "-max_pixels", "100000000"]
STYLE = TextStyle.model_validate({})


def film(name: str, seconds: float, **more: object) -> MediaInfo:
    facts = {"duration": seconds, "width": 1920, "height": 1080, "fps": 30.0, **more}
    return MediaInfo(Path(f"/in/{name}.mp4"), Probe.model_validate(facts), video_seconds=seconds)


def planned(*scenes: tuple[dict[str, object], MediaInfo | None]) -> Schedule:
    return schedule([Scene.model_validate(s) for s, _ in scenes], [f for _, f in scenes], Fraction(30))


def words(segment: Segment, *above: Above) -> list[str]:
    return compile_segments([segment], CANVAS, above, ENCODER, threads=1, stems=["s"]).args


def digest(segment: Segment, *above: Above, contents: dict[Path, str] | None = None) -> str:
    return cache_keys.digest(segment, CANVAS, above, ENCODER, "9.0", contents or {})


def test_a_segment_is_one_command():
    plan = planned(({"src": "a", "trim_start": 2, "transition": "fade"}, film("a", 5)), ({"src": "b"}, film("b", 3)))
    body, passing, _ = segments.split_segments(plan)

    assert words(body) == [
        *["-copyts", "-threads", "1", "-noaccurate_seek", *GUARD],
        *["-ss", "1.000000", "-i", "file:/in/a.mp4"],
        "-filter_complex",
        "[0:v:0]setpts=expr=PTS-2/TB[n0];[n0]fps=fps=30/1[n1];[n1]tpad=stop=-1:stop_mode=clone[n2];"
        "[n2]trim=start_pts=0:end_pts=75[n3];[n3]setpts=expr=PTS-STARTPTS[n4];"
        "[n4]crop=w=max(hsub\\,iw-2*hsub*round(iw*0.683594/(2*hsub))):h=ih:exact=1[n5];"
        "[n5]scale=w=1080:h=1920:out_color_matrix=bt709:out_range=tv:"
        "flags=bicubic+accurate_rnd+full_chroma_int[n6];[n6]setsar=sar=1[n7];"
        "[n7]setsar=sar=1[n8];[n8]settb=expr=1/30[n9];[n9]format=pix_fmts=yuv420p[n10];"
        "[n10]trim=end_frame=75[n11];[n11]format=pix_fmts=yuv420p[n12]",
        *["-map", "[n12]", "-an", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"],
        *["-frames:v", "75", "-r", "30/1", *ENCODER.args(rate=Fraction(30), threads=1, stitchable=True)],
        *["-video_track_timescale", "10020", "-f", "mp4", "file:s.mp4"],
    ]
    both = " ".join(words(passing))
    assert both.count("-i file:") == 2
    assert "xfade=transition=fade:duration=0.5:offset=0" in both
    assert "subtitles" not in both


def test_a_transition_is_made_with_the_piece_of_film_before_it_which_is_read_once():
    plan = planned(({"src": "a", "trim_start": 2, "transition": "fade"}, film("a", 5)), ({"src": "b"}, film("b", 3)))
    body, passing, _ = segments.split_segments(plan)

    work = " ".join(compile_segments([body, passing], CANVAS, [], ENCODER, threads=1, stems=["s", "t"]).args)

    assert work.count("-i file:/in/a.mp4") == work.count("-i file:/in/b.mp4") == 1
    assert "trim=start_pts=0:end_pts=90" in work
    assert "trim=start_frame=0:end_frame=75" in work
    assert "trim=start_frame=75:end_frame=90" in work
    # What counts the frames of both comes first, since FFmpeg tells of its first output how far it is.
    assert work.index("-f null -") < work.index("-frames:v 75") < work.index("file:s.mp4") < work.index("file:t.mp4")


def test_only_a_transition_out_of_a_film_is_made_with_what_is_before_it():
    plan = planned(
        ({"src": "a", "transition": "fade"}, film("a", 50)),
        ({"color": "red", "duration": 2, "transition": "fade"}, None),
        ({"src": "b", "duration": 2}, film("b", 3)),
        ({"src": "b", "duration": 2}, film("b", 3)),
    )
    cut = segments.split_segments(plan)

    assert [segment.label for segment in cut] == [
        *["scenes[0]"] * 3,
        *["scenes[0] and scenes[1]", "scenes[1]", "scenes[1] and scenes[2]", "scenes[2]", "scenes[3]"],
    ]
    assert segments.group_segments(range(8), cut) == [(0,), (1,), (2, 3), (4,), (5,), (6,), (7,)]
    assert segments.group_segments([7, 3, 1], cut) == [(1,), (3,), (7,)]
    assert segments.group_segments([], cut) == []


def test_a_segment_draws_only_the_text_seen_in_it():
    plan = planned(({"color": "red", "duration": 60}, None))
    texts = TextLayer((Line(25, 26, "hello", STYLE),))

    works = [
        compile_segments([s], CANVAS, [texts], ENCODER, threads=1, stems=["s"]) for s in segments.split_segments(plan)
    ]

    assert [bool(work.scripts) for work in works] == [False, True, False]
    assert ["s-0.ass" in " ".join(work.args) for work in works] == [False, True, False]


def test_a_given_script_is_drawn_by_the_time_of_the_film():
    plan = planned(({"color": "red", "duration": 60}, None))

    first, second, third = (
        " ".join(words(s, AssScript("given.ass", "0", ((1.0, 25.0),)))) for s in segments.split_segments(plan)
    )

    assert "subtitles=filename=given.ass" in first
    assert "setpts=expr=PTS+600" in second
    assert "given.ass" not in third


def test_equal_segments_are_known_wherever_they_stand_in_the_film():
    alone = segments.split_segments(planned(({"src": "b"}, film("b", 3))))[0]
    later = segments.split_segments(planned(({"color": "red", "duration": 2}, None), ({"src": "b"}, film("b", 3))))[1]
    contents = {Path("/in/b.mp4"): "1" * 64}

    early_text, late_text = (TextLayer((Line(t, t + 1, "hello", STYLE, fade_in=0.2),)) for t in (0.5, 2.5))

    assert digest(alone, early_text, contents=contents) == digest(later, late_text, contents=contents)


def test_a_file_is_known_by_what_is_in_it():
    one, other = (segments.split_segments(planned(({"src": name}, film(name, 3))))[0] for name in "ab")
    same, changed = "1" * 64, "2" * 64

    assert digest(one, contents={Path("/in/a.mp4"): same}) == digest(other, contents={Path("/in/b.mp4"): same})
    assert digest(one, contents={Path("/in/a.mp4"): same}) != digest(one, contents={Path("/in/a.mp4"): changed})


@pytest.mark.parametrize(
    "change",
    [
        {"trim_start": 0.5, "duration": 2},
        {"filters": ["grayscale"]},
        {"fit": "contain"},
        {"speed": 1.5},
        {"focus": {"x": 0}},
        {"fade_in": 1},
    ],
)
def test_whatever_changes_the_picture_changes_how_it_is_known(change: dict[str, object]):
    plain = segments.split_segments(planned(({"src": "a", "duration": 2}, film("a", 3))))[0]
    changed = segments.split_segments(planned(({"src": "a", "duration": 2, **change}, film("a", 3))))[0]

    assert digest(plain) != digest(changed)


def test_text_and_settings_change_how_a_segment_is_known():
    segment = segments.split_segments(planned(({"color": "red", "duration": 2}, None)))[0]
    ways = [
        digest(segment),
        digest(segment, TextLayer((Line(0, 1, "hello", STYLE),))),
        digest(segment, TextLayer((Line(0, 1, "hallo", STYLE),))),
        digest(segment, AssScript("given.ass", "1", ((1.0, 2.0),))),
        digest(segment, AssScript("given.ass", "2", ((1.0, 2.0),))),
        cache_keys.digest(
            segment, CANVAS, (), replace(ENCODER, settings=EncodeSettings(preset="fast", crf=21)), "9.0", {}
        ),
        cache_keys.digest(segment, CANVAS, (), ENCODER, "5.1", {}),
    ]

    assert len(set(ways)) == len(ways)


def test_text_is_known_by_the_fonts_and_not_by_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    segment = segments.split_segments(planned(({"color": "red", "duration": 2}, None)))[0]
    text = TextLayer((Line(0, 1, "hello", STYLE),))
    before, plain = digest(segment, text), digest(segment)

    for module in (segment_commands, cache_keys):
        monkeypatch.setattr(module, "FONTS", tmp_path / "it's elsewhere")
    assert digest(segment, text) == before

    monkeypatch.setattr(cache_keys, "fonts_digest", lambda: "of other fonts")
    assert digest(segment, text) != before
    assert digest(segment) == plain


def test_an_overlay_is_laid_only_over_the_segments_that_it_is_seen_in():
    timeline = Timeline.model_validate(
        {"scenes": [{"color": "red", "duration": 60}], "overlays": [{"src": "v", "start": 25, "duration": 5}]}
    )
    plan = schedule(timeline.scenes, [None], Fraction(30))
    above = place_layers(timeline, {"overlays[0]": film("v", 9)}, plan)

    first, second, third = (" ".join(words(s, *above)) for s in segments.split_segments(plan))

    assert "overlay=" not in first
    assert "overlay=" not in third
    assert "setpts=expr=PTS+150" in second
    assert "trim=start_pts=0:end_pts=150" in second
