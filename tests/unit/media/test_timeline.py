from fractions import Fraction

import pytest
from pydantic import ValidationError

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.media.rendering.frame_size import even_size, parse_ratio
from callsheet.media.timeline.timeline import Timeline
from callsheet.media.values import parse_color, parse_rate, parse_seconds


def read(**fields: object) -> Timeline:
    return Timeline.model_validate({"scenes": [{"src": "a.mp4"}], **fields})


def error_message(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        read(**fields)
    return str(caught.value)


def test_the_format_of_earlier_systems_is_accepted():
    timeline = Timeline.model_validate(
        {
            "scenes": [{"video_path": "/in/a.mp4"}, {"videoPath": "/in/b.mp4"}],
            "output_format": {"width": 1920, "height": 1080, "fps": 30},
            "use_gpu": True,
        }
    )

    assert [scene.src.root for scene in timeline.scenes if scene.src] == ["/in/a.mp4", "/in/b.mp4"]
    assert (timeline.output.width, timeline.output.height, timeline.output.fps, timeline.use_gpu) == (
        1920,
        1080,
        30,
        True,
    )


def test_aliases_are_written_as_field_names():
    timeline = Timeline.model_validate({"clips": [{"path": "a.mp4", "length": 3, "cutFrom": 1}]})

    written = timeline.model_dump(mode="json", exclude_unset=True)

    assert written == {"scenes": [{"src": "a.mp4", "duration": 3.0, "trimStart": 1.0}]}
    assert Timeline.model_validate(written) == timeline


def test_scenes_may_be_file_names():
    timeline = Timeline.model_validate({"scenes": ["a.mp4", "b.png"], "soundtrack": "m.mp3"})

    assert [scene.src.root for scene in timeline.scenes if scene.src] == ["a.mp4", "b.png"]
    assert timeline.soundtrack is not None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("crossfade", "fade"), ("cross-dissolve", "fade"), ("wipe_left", "wipeleft"), ("dissolve", "dissolve")],
)
def test_common_names_of_transitions_are_accepted(name: str, expected: str):
    timeline = read(scenes=[{"src": "a.mp4", "transition": name}, {"src": "b.mp4"}])

    assert timeline.scenes[0].effective_transition is not None
    assert timeline.scenes[0].effective_transition.type == expected


def test_transitions_without_effect_are_none():
    timeline = read(
        scenes=[{"src": "a.mp4", "transition": "none"}, {"src": "b.mp4", "transition": {"duration": 0}}, "c.mp4"]
    )

    assert [scene.effective_transition for scene in timeline.scenes] == [None, None, None]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scenes": []}, "at least 1 item"),
        ({"scenes": [{"src": "a", "transition": "wipelefd"}, "b"]}, "did you mean 'wipeleft'"),
        ({"scenes": [{"src": "a", "transition": "custom"}, "b"]}, "unknown transition"),
        ({"scenes": [{"src": "a", "transition": "fade"}]}, "no scene after it"),
        ({"scenes": [{"src": "a", "color": "red"}]}, "one of src and color"),
        ({"scenes": [{}]}, "one of src and color"),
        ({"scenes": [{"src": "a", "type": "color"}]}, "is not possible for a scene"),
        ({"scenes": [{"src": "a", "duration": 0}]}, "above 0"),
        ({"scenes": [{"src": "a", "duration": "soon"}]}, "not a time"),
        ({"scenes": [{"src": "a", "trim_start": -1}]}, "greater than or equal to 0"),
        ({"scenes": [{"src": "a", "tittle": "x"}]}, "tittle"),
        ({"scenes": [{"color": "blurple"}]}, "not a color"),
        ({"output": {"fps": "1/0"}}, "not a frame rate"),
        ({"output": {"fps": 1000}}, "not between 1 and 240"),
        ({"output": {"crf": 20, "quality": "low"}}, "one of quality, crf and bitrate"),
        ({"output": {"format": "webm", "codec": "h264"}}, "webm does not support h264"),
        ({"output": {"resolution": "720p", "width": 100}}, "not both"),
        ({"scenes": [{"src": "a", "trim_start": 2, "trim_end": 1}]}, "not after trim_start"),
        ({"scenes": [{"src": "a", "trim_end": 1, "duration": 1}]}, "not both"),
        ({"scenes": [{"src": "a", "crop": {"left": 0.5, "right": 0.5}}]}, "leaves nothing"),
        ({"scenes": [{"src": "a", "fit": "squeeze"}]}, "fit"),
        ({"overlays": [{"src": "a", "scale": 0.5, "width": 10}]}, "not both"),
        ({"overlays": [{"src": "a", "duration": 0}]}, "above 0"),
        ({"overlays": [{"text": "a", "src": "b"}]}, "src"),
        ({"tracks": [{"type": "audio", "clips": [{"text": "a"}]}]}, "src"),
        ({"output": {"preset": "warp"}}, "preset"),
        ({"captions": {}}, "one of src and cues"),
        ({"captions": {"cues": [{"start": 2, "end": 1, "text": "x"}]}}, "end after its start"),
        ({"captions": {"src": "a", "style": {"font_family": "x{\\b1}"}}}, "font_family"),
        ({"loudness": -100}, "from -70 to -5"),
    ],
)
def test_invalid_timelines_are_rejected(fields: dict[str, object], message: str):
    assert message in error_message(**fields)


def test_times_are_accepted_in_every_common_form():
    assert [parse_seconds(text) for text in ("1.5", "00:01:30.5", "2:03", "1:02:03,25")] == [1.5, 90.5, 123, 3723.25]


def test_rates_are_exact():
    assert parse_rate(30) == 30
    assert parse_rate(29.97) == parse_rate("30000/1001") == parse_rate(29.97003) == Fraction(30000, 1001)
    assert parse_rate(23.976) == Fraction(24000, 1001)


def test_colors_are_converted_to_hex():
    assert (parse_color("navy"), parse_color("#fff"), parse_color("rgb(1, 2, 3)")) == ("#000080", "#ffffff", "#010203")


def test_missing_sides_follow_from_the_ratio():
    upright = parse_ratio("9:16")

    assert even_size(None, None, upright) == (1080, 1920)
    assert even_size(None, None, parse_ratio("16:9")) == (1920, 1080)
    assert even_size(720, None, upright) == (720, 1280)
    assert even_size(None, 480, parse_ratio("16:9")) == (852, 480)
    assert even_size(853, 481, upright) == (852, 480)


def test_a_timeline_may_consist_of_tracks():
    timeline = Timeline.model_validate(
        {
            "tracks": [
                {"clips": ["a.mp4", {"src": "b.mp4", "transition": "fade"}, "c.mp4"]},
                {"clips": [{"src": "logo.png", "position": "topRight"}, {"text": "hello"}]},
                {"type": "audio", "clips": ["voice.wav"]},
            ]
        }
    )

    assert [scene.src.root for scene in timeline.scenes if scene.src] == ["a.mp4", "b.mp4", "c.mp4"]
    assert [where for where, _ in timeline.media()] == [
        *("scenes[0]", "scenes[1]", "scenes[2]"),
        *("tracks[0].clips[0]", "tracks[1].clips[0]"),
    ]


def test_a_list_of_clips_is_a_timeline():
    assert len(Timeline.model_validate(["a.mp4", "b.png"]).scenes) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [("crop", "cover"), ("pad", "contain"), ("blur-pad", "contain_blur"), ("stretch", "fill"), ("Cover", "cover")],
)
def test_common_names_of_fits_are_accepted(name: str, expected: str):
    assert read(scenes=[{"src": "a", "fit": name}]).scenes[0].fit == expected


def test_an_overlay_may_be_a_file_name():
    timeline = read(overlays=["logo.png"], tracks=[{"clips": ["a.png", {"text": "b"}]}])

    assert [getattr(each, "src", None) and each.src.root for each in timeline.overlays] == ["logo.png"]
    assert timeline.model_dump(mode="json", exclude_unset=True, by_alias=True)["tracks"] == [
        {"clips": [{"src": "a.png"}, {"text": "b"}]}
    ]


def test_a_problem_of_an_overlay_names_its_field():
    wrong = {"overlays": [{"src": "a.png", "offset": {"x": -5}}, {"text": "b", "offset": {"y": 5}}]}

    with pytest.raises(BadParams) as caught:
        validate_params({"scenes": ["a.mp4"], **wrong}, Timeline)

    assert [problem.path for problem in caught.value.problems] == ["overlays[0].offset.x", "overlays[1].offset.y"]
