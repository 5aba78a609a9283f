"""The dry run of a render."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from callsheet.media.encoding.encoders import Encoder, EncodeSettings
from callsheet.media.encoding.loudness import Target
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.audio_placement import place_audio
from callsheet.media.rendering.explain import Explanation, explain
from callsheet.media.rendering.overlay_placement import place_overlays
from callsheet.media.rendering.render_plan import ContainerSettings, RenderPlan
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.rendering.text_layers import text_layers
from callsheet.media.timeline.timeline import Timeline
from media.film import film

RATE = Fraction(30000, 1001)
FFMPEG = Path("/opt/ff mpeg")


def footage(name: str, seconds: float = 4) -> MediaInfo:
    return film(Path("/in") / name, seconds, width=64, height=64, audio_codec="aac")


def explained(*, loudness: Target | str | None = None, **timeline: Any) -> Explanation:
    params = Timeline.model_validate(timeline)
    media = {field: footage(str(source.root)) for field, source in params.media()}
    scene_media = [media.get(f"scenes[{number}]") for number in range(len(params.scenes))]
    schedule = build_schedule(params.scenes, scene_media, RATE)
    overlays = place_overlays(params, media, schedule)
    plan = RenderPlan(
        schedule,
        Canvas(64, 64, RATE),
        [*text_layers(overlays, schedule)],
        place_audio(params, media, overlays, schedule),
        loudness,
        mute=params.output.mute,
        container=ContainerSettings(params.output.format, params.output.effective_audio_codec),
    )
    return explain(plan, Encoder("libx264", EncodeSettings()), ["a note"], FFMPEG, 3)


def test_the_segments_are_the_scenes_and_their_transitions_with_their_overlays():
    explanation = explained(
        scenes=[
            {"src": "a.mp4", "name": "dawn", "transition": {"type": "fade", "duration": 1}, "title": "Hello"},
            {"src": "b.mp4", "overlays": [{"src": "logo.mp4", "start": 2, "duration": 1}]},
        ],
        overlays=[{"text": "One", "start": 5}, {"text": "Two", "start": 5}, {"src": "c.mp4", "duration": 1}],
    )

    assert [(segment.start_frame, segment.frames) for segment in explanation.segments] == [(0, 90), (90, 30), (120, 90)]
    assert [segment.scenes for segment in explanation.segments] == [
        ["scenes[0] (dawn)"],
        ["scenes[0] (dawn)", "scenes[1]"],
        ["scenes[1]"],
    ]
    assert [segment.overlays for segment in explanation.segments] == [
        ["1 text", "overlays[2]"],
        [],
        ["scenes[1].overlays[0]", "2 texts"],
    ]
    assert (explanation.frames, explanation.frames_to_encode, explanation.fps) == (210, 210, "30000/1001")
    assert explanation.duration == 7.007
    assert explanation.notes == ["a note"]


def test_each_command_is_complete():
    explanation = explained(scenes=[{"src": "it's a.mp4", "title": "Hello"}, {"color": "red", "duration": 1}])

    assert [command.purpose for command in explanation.commands] == [
        *("encode segment 0", "encode segment 1", "mix the audio", "encode the audio", "mux the video"),
    ]
    assert all(command.arguments[0] == "/opt/ff mpeg" for command in explanation.commands)
    assert [list(command.scripts) for command in explanation.commands] == [
        ["segment00000-0.ass"],
        [],
        [],
        [],
        ["segments.txt"],
    ]
    assert [list(command.environment) for command in explanation.commands] == [["FONTCONFIG_FILE"], [], [], [], []]
    assert "Hello" in explanation.commands[0].scripts["segment00000-0.ass"]
    assert "file:/in/it's a.mp4" in explanation.commands[0].arguments
    assert explanation.commands[0].arguments[-1] == "file:segment00000.mp4"
    assert explanation.commands[-1].scripts["segments.txt"].split() == [
        *("ffconcat", "version", "1.0", "file", "segment00000.mp4", "file", "segment00001.mp4"),
    ]
    assert explanation.commands[-2].arguments[-1] == "file:mix.mp4"
    assert "file:mix.mp4" in explanation.commands[-1].arguments
    assert explanation.commands[-1].arguments[-1] == "file:film.mp4"


def test_the_audio_sources_are_listed():
    explanation = explained(
        scenes=[{"src": "a.mp4"}, {"src": "b.mp4", "mute": True}],
        soundtrack={"src": "music.mp3", "loop": True, "duck": True},
        audioClips=[{"src": "voice.wav", "start": 1, "duration": 2}],
        loudness=Target(-18, -1),
    )

    assert explanation.audio == [
        "scenes[0]",
        "voice.wav from 1.00 to 3.00 s",
        "music.mp3 from 0.00 to 8.01 s, looped, ducked",
    ]
    assert explanation.loudness == "normalized to -18 LUFS, true peak at most -1 dBTP"
    assert "the commands do not normalize the loudness" in explanation.notes[1]


def test_a_client_filter_is_a_separate_command():
    explanation = explained(scenes=["a.mp4"], loudness="acompressor")

    assert [command.purpose for command in explanation.commands][1:] == [
        "mix the audio",
        "apply the audio filter",
        "encode the audio",
        "mux the video",
    ]
    assert "file:level.w64" in explanation.commands[-2].arguments
    assert "file:level.mp4" in explanation.commands[-1].arguments
    assert explanation.loudness == "the filter acompressor"


def test_a_video_without_audio_has_no_audio_commands():
    explanation = explained(scenes=["a.mp4"], output={"mute": True, "format": "mkv"})

    assert (explanation.audio_codec, explanation.audio, explanation.loudness) == (None, [], None)
    assert [command.purpose for command in explanation.commands] == ["encode segment 0", "mux the video"]
    assert explanation.commands[-1].arguments[-1] == "file:film.mkv"
