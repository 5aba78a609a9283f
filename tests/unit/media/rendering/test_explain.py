"""A film told before it is made."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from callsheet.domain.artifacts import Probe
from callsheet.media.encoding.encoders import Encoder, EncodeSettings
from callsheet.media.encoding.loudness import Target
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import audio_mix, layers
from callsheet.media.rendering.explain import Explanation, explain
from callsheet.media.rendering.render_plan import Container, RenderPlan
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import schedule
from callsheet.media.rendering.text_layers import text_layers
from callsheet.media.timeline.timeline import Timeline

RATE = Fraction(30000, 1001)
FFMPEG = Path("/opt/ff mpeg")


def footage(name: str, seconds: float = 4) -> MediaInfo:
    facts = {"duration": seconds, "width": 64, "height": 64, "audioCodec": "aac"}
    return MediaInfo(Path("/in") / name, Probe.model_validate(facts), video_seconds=seconds)


def explained(*, level: Target | str | None = None, **timeline: Any) -> Explanation:
    read = Timeline.model_validate(timeline)
    found = {where: footage(str(source.root)) for where, source in read.media()}
    of_scenes = [found.get(f"scenes[{number}]") for number in range(len(read.scenes))]
    plan = schedule(read.scenes, of_scenes, RATE)
    laid = layers.place_layers(read, found, plan)
    film = RenderPlan(
        plan,
        Canvas(64, 64, RATE),
        [*text_layers(laid, plan)],
        audio_mix.collect_audio(read, found, laid, plan),
        level,
        mute=read.output.mute,
        container=Container(read.output.format, read.output.sound_codec),
    )
    return explain(film, Encoder("libx264", EncodeSettings()), ["a note"], FFMPEG, 3)


def test_the_pieces_are_the_scenes_and_their_transitions_with_what_lies_above():
    told = explained(
        scenes=[
            {"src": "a.mp4", "name": "dawn", "transition": {"type": "fade", "duration": 1}, "title": "Hello"},
            {"src": "b.mp4", "overlays": [{"src": "logo.mp4", "start": 2, "duration": 1}]},
        ],
        overlays=[{"text": "One", "start": 5}, {"text": "Two", "start": 5}, {"src": "c.mp4", "duration": 1}],
    )

    assert [(piece.start_frame, piece.frames) for piece in told.pieces] == [(0, 90), (90, 30), (120, 90)]
    assert [piece.scenes for piece in told.pieces] == [
        ["scenes[0] (dawn)"],
        ["scenes[0] (dawn)", "scenes[1]"],
        ["scenes[1]"],
    ]
    assert [piece.above for piece in told.pieces] == [
        ["1 text", "overlays[2]"],
        [],
        ["scenes[1].overlays[0]", "2 texts"],
    ]
    assert (told.frames, told.frames_to_encode, told.fps) == (210, 210, "30000/1001")
    assert told.duration == 7.007
    assert told.notes == ["a note"]


def test_each_command_stands_for_itself():
    told = explained(scenes=[{"src": "it's a.mp4", "title": "Hello"}, {"color": "red", "duration": 1}])

    assert [command.makes for command in told.commands] == [
        *("piece 0", "piece 1", "the sound", "the sound, encoded", "the film"),
    ]
    assert all(command.arguments[0] == "/opt/ff mpeg" for command in told.commands)
    assert [list(command.scripts) for command in told.commands] == [
        ["segment00000-0.ass"],
        [],
        [],
        [],
        ["segments.txt"],
    ]
    assert [list(command.environment) for command in told.commands] == [["FONTCONFIG_FILE"], [], [], [], []]
    assert "Hello" in told.commands[0].scripts["segment00000-0.ass"]
    assert "file:/in/it's a.mp4" in told.commands[0].arguments
    assert told.commands[0].arguments[-1] == "file:segment00000.mp4"
    assert told.commands[-1].scripts["segments.txt"].split() == [
        *("ffconcat", "version", "1.0", "file", "segment00000.mp4", "file", "segment00001.mp4"),
    ]
    assert told.commands[-2].arguments[-1] == "file:mix.mp4"
    assert "file:mix.mp4" in told.commands[-1].arguments
    assert told.commands[-1].arguments[-1] == "file:film.mp4"


def test_what_is_heard_is_told():
    told = explained(
        scenes=[{"src": "a.mp4"}, {"src": "b.mp4", "mute": True}],
        soundtrack={"src": "music.mp3", "loop": True, "duck": True},
        audioClips=[{"src": "voice.wav", "start": 1, "duration": 2}],
        level=Target(-18, -1),
    )

    assert told.heard == [
        "scenes[0]",
        "voice.wav from 1.00 to 3.00 s",
        "music.mp3 from 0.00 to 8.01 s, again and again, stepping back",
    ]
    assert told.loudness == "measured, then brought to -18 LUFS, peaks below -1 dBTP"
    assert "the commands leave the loudness as it is" in told.notes[1]


def test_a_given_filter_is_a_command_of_its_own():
    told = explained(scenes=["a.mp4"], level="acompressor")

    assert [command.makes for command in told.commands][1:] == [
        "the sound",
        "the sound through the given filter",
        "the sound, encoded",
        "the film",
    ]
    assert "file:level.w64" in told.commands[-2].arguments
    assert "file:level.mp4" in told.commands[-1].arguments
    assert told.loudness == "the filter acompressor"


def test_a_film_without_sound_says_so():
    told = explained(scenes=["a.mp4"], output={"mute": True, "format": "mkv"})

    assert (told.audio_codec, told.heard, told.loudness) == (None, [], None)
    assert [command.makes for command in told.commands] == ["piece 0", "the film"]
    assert told.commands[-1].arguments[-1] == "file:film.mkv"
