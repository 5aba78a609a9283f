from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from callsheet.media.encoding.encoders import Encoder, EncodeSettings
from callsheet.media.ffmpeg.inputs import MEDIA_FORMATS
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import cache_keys, segment_commands, segments
from callsheet.media.rendering.layers import AssScript, Layer, TextLayer
from callsheet.media.rendering.overlay_placement import place_overlays
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule, build_schedule
from callsheet.media.rendering.segment_commands import compile_segments
from callsheet.media.rendering.segments import Segment
from callsheet.media.subtitles.ass import Line
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.timeline.scene import Scene
from callsheet.media.timeline.timeline import Timeline
from media.film import film

CANVAS = Canvas(1080, 1920, Fraction(30))
ENCODER = Encoder("libx264", EncodeSettings(preset="fast", crf=20))
GUARD = ["-protocol_whitelist", "file,pipe", "-format_whitelist", MEDIA_FORMATS, "-max_pixels", "100000000"]
STYLE = TextStyle.model_validate({})


def video(name: str, seconds: float, **more: object) -> MediaInfo:
    return film(Path(f"/in/{name}.mp4"), seconds, **{"width": 1920, "height": 1080, "fps": 30.0, **more})


def scheduled(*scenes: tuple[dict[str, object], MediaInfo | None]) -> Schedule:
    return build_schedule([Scene.model_validate(s) for s, _ in scenes], [f for _, f in scenes], Fraction(30))


def args_of(segment: Segment, *layers: Layer) -> list[str]:
    return compile_segments([segment], CANVAS, layers, ENCODER, threads=1, stems=["s"]).args


def digest(segment: Segment, *layers: Layer, contents: dict[Path, str] | None = None) -> str:
    return cache_keys.segment_digest(segment, CANVAS, layers, ENCODER, "9.0", contents or {})


def test_a_segment_is_one_ffmpeg_command():
    schedule = scheduled(
        ({"src": "a", "trim_start": 2, "transition": "fade"}, video("a", 5)), ({"src": "b"}, video("b", 3))
    )
    body, transition, _ = segments.split_segments(schedule)

    assert args_of(body) == [
        *["-copyts", "-threads", "1", "-noaccurate_seek", *GUARD],
        *["-ss", "1.000000", "-i", "file:/in/a.mp4"],
        "-filter_complex",
        "[0:0]setpts=expr=PTS-2/TB[n0];[n0]fps=fps=30/1[n1];[n1]tpad=stop=-1:stop_mode=clone[n2];"
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
    both = " ".join(args_of(transition))
    assert both.count("-i file:") == 2
    assert "xfade=transition=fade:duration=0.5:offset=0" in both
    assert "subtitles" not in both


def test_a_transition_is_encoded_with_the_segment_before_it_which_is_read_once():
    schedule = scheduled(
        ({"src": "a", "trim_start": 2, "transition": "fade"}, video("a", 5)), ({"src": "b"}, video("b", 3))
    )
    body, transition, _ = segments.split_segments(schedule)

    command = " ".join(compile_segments([body, transition], CANVAS, [], ENCODER, threads=1, stems=["s", "t"]).args)

    assert command.count("-i file:/in/a.mp4") == command.count("-i file:/in/b.mp4") == 1
    assert "trim=start_pts=0:end_pts=90" in command
    assert "trim=start_frame=0:end_frame=75" in command
    assert "trim=start_frame=75:end_frame=90" in command
    # The frame counter is the first output, because FFmpeg reports the progress of its first output.
    assert (
        command.index("-f null -")
        < command.index("-frames:v 75")
        < command.index("file:s.mp4")
        < command.index("file:t.mp4")
    )


def test_only_a_transition_out_of_a_video_is_encoded_with_the_segment_before_it():
    schedule = scheduled(
        ({"src": "a", "transition": "fade"}, video("a", 50)),
        ({"color": "red", "duration": 2, "transition": "fade"}, None),
        ({"src": "b", "duration": 2}, video("b", 3)),
        ({"src": "b", "duration": 2}, video("b", 3)),
    )
    split = segments.split_segments(schedule)

    assert [segment.label for segment in split] == [
        *["scenes[0]"] * 3,
        *["scenes[0] and scenes[1]", "scenes[1]", "scenes[1] and scenes[2]", "scenes[2]", "scenes[3]"],
    ]
    assert segments.group_segments(range(8), split) == [(0,), (1,), (2, 3), (4,), (5,), (6,), (7,)]
    assert segments.group_segments([7, 3, 1], split) == [(1,), (3,), (7,)]
    assert segments.group_segments([], split) == []


def test_a_segment_draws_only_its_visible_texts():
    schedule = scheduled(({"color": "red", "duration": 60}, None))
    texts = TextLayer((Line(25, 26, "hello", STYLE),))

    commands = [
        compile_segments([s], CANVAS, [texts], ENCODER, threads=1, stems=["s"])
        for s in segments.split_segments(schedule)
    ]

    assert [bool(command.scripts) for command in commands] == [False, True, False]
    assert ["s-0.ass" in " ".join(command.args) for command in commands] == [False, True, False]


def test_a_client_script_is_drawn_at_the_time_of_the_video():
    schedule = scheduled(({"color": "red", "duration": 60}, None))

    first, second, third = (
        " ".join(args_of(s, AssScript("given.ass", "0", ((1.0, 25.0),)))) for s in segments.split_segments(schedule)
    )

    assert "subtitles=filename=given.ass" in first
    assert "setpts=expr=PTS+600" in second
    assert "given.ass" not in third


def test_equal_segments_have_equal_digests_at_any_position():
    alone = segments.split_segments(scheduled(({"src": "b"}, video("b", 3))))[0]
    later = segments.split_segments(scheduled(({"color": "red", "duration": 2}, None), ({"src": "b"}, video("b", 3))))[
        1
    ]
    contents = {Path("/in/b.mp4"): "1" * 64}

    early_text, late_text = (TextLayer((Line(t, t + 1, "hello", STYLE, fade_in=0.2),)) for t in (0.5, 2.5))

    assert digest(alone, early_text, contents=contents) == digest(later, late_text, contents=contents)


def test_a_file_counts_by_its_contents():
    one, other = (segments.split_segments(scheduled(({"src": name}, video(name, 3))))[0] for name in "ab")
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
def test_every_change_of_the_video_changes_the_digest(change: dict[str, object]):
    plain = segments.split_segments(scheduled(({"src": "a", "duration": 2}, video("a", 3))))[0]
    changed = segments.split_segments(scheduled(({"src": "a", "duration": 2, **change}, video("a", 3))))[0]

    assert digest(plain) != digest(changed)


def test_text_and_settings_change_the_digest():
    segment = segments.split_segments(scheduled(({"color": "red", "duration": 2}, None)))[0]
    digests = [
        digest(segment),
        digest(segment, TextLayer((Line(0, 1, "hello", STYLE),))),
        digest(segment, TextLayer((Line(0, 1, "hallo", STYLE),))),
        digest(segment, AssScript("given.ass", "1", ((1.0, 2.0),))),
        digest(segment, AssScript("given.ass", "2", ((1.0, 2.0),))),
        cache_keys.segment_digest(
            segment, CANVAS, (), replace(ENCODER, settings=EncodeSettings(preset="fast", crf=21)), "9.0", {}
        ),
        cache_keys.segment_digest(segment, CANVAS, (), ENCODER, "5.1", {}),
    ]

    assert len(set(digests)) == len(digests)


def test_the_digest_of_a_text_depends_on_the_fonts_and_not_on_their_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    segment = segments.split_segments(scheduled(({"color": "red", "duration": 2}, None)))[0]
    text = TextLayer((Line(0, 1, "hello", STYLE),))
    before, plain = digest(segment, text), digest(segment)

    for module in (segment_commands, cache_keys):
        monkeypatch.setattr(module, "FONTS", tmp_path / "it's elsewhere")
    assert digest(segment, text) == before

    monkeypatch.setattr(cache_keys, "fonts_digest", lambda: "of other fonts")
    assert digest(segment, text) != before
    assert digest(segment) == plain


def test_an_overlay_is_drawn_only_in_the_segments_that_show_it():
    timeline = Timeline.model_validate(
        {"scenes": [{"color": "red", "duration": 60}], "overlays": [{"src": "v", "start": 25, "duration": 5}]}
    )
    schedule = build_schedule(timeline.scenes, [None], Fraction(30))
    layers = place_overlays(timeline, {"overlays[0]": video("v", 9)}, schedule)

    first, second, third = (" ".join(args_of(s, *layers)) for s in segments.split_segments(schedule))

    assert "overlay=" not in first
    assert "overlay=" not in third
    assert "setpts=expr=PTS+150" in second
    assert "trim=start_pts=0:end_pts=150" in second
