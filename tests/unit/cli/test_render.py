"""`callsheet render` and `callsheet timeline` on the command line."""

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from media.studio import Studio
from typer.testing import CliRunner, Result

from callsheet.cli.app import app

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def here(tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, which is not the folder of the timeline."""
    folder, here = tmp_path / "my films", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    clip = studio.clip("clip.mp4", "testsrc2=size=64x64:rate=30", sound="sine=frequency=300")
    (folder / "it's a clip.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(here)
    monkeypatch.setenv("CALLSHEET_DATA_DIR", str(tmp_path / "data"))
    return here


@pytest.fixture
def callsheet() -> Command:
    def run(*args: str | Path, given: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], input=given)

    return run


def written(here: Path, timeline: object, name: str = "timeline.yaml") -> Path:
    path = here.parent / "my films" / name
    path.write_text(yaml.safe_dump(timeline))
    return path


TIMELINE = {
    "scenes": [
        {"src": "it's a clip.mp4", "name": "dawn", "title": "Hello", "transition": {"type": "fade", "duration": 0.2}},
        {"color": "red", "duration": 0.5},
    ],
    "output": {"width": 64, "height": 64, "preset": "ultrafast"},
    "loudness": False,
}


def test_the_segments_are_printed(here: Path, callsheet: Command):
    done = callsheet("render", written(here, TIMELINE), "--explain")

    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Output    1.3 s, 39 frames at 30 fps, 64x64, mp4"
    assert lines[1].startswith("Video     h264 by libx264: 3 segments, 3 to encode with 39 frames")
    assert lines[2] == "Audio     aac: scenes[0] (dawn)"
    assert [line.split() for line in lines[4:8]] == [
        ["SEGMENT", "FRAMES", "SECONDS", "SCENES", "OVERLAYS"],
        ["0", "0", "to", "23", "0.000", "to", "0.800", "scenes[0]", "(dawn)", "1", "text"],
        ["1", "24", "to", "29", "0.800", "to", "1.000", "scenes[0]", "(dawn)", "and", "scenes[1]"],
        ["2", "30", "to", "38", "1.000", "to", "1.300", "scenes[1]"],
    ]
    assert list(here.iterdir()) == [], "nothing is rendered"
    assert "--out DIR" in done.stderr


def test_the_printed_commands_render_the_video(here: Path, callsheet: Command, studio: Studio):
    done = callsheet("render", written(here, TIMELINE), "--explain", "--out", "a folder")

    commands = done.stdout.partition("Commands")[2].partition("\n")[2]
    subprocess.run(["bash", "-e"], input=commands, text=True, cwd=here / "a folder", check=True, capture_output=True)

    video = here / "a folder" / "film.mp4"
    frames = studio.gray_frames(video, size=(64, 64))
    assert len(frames) == 39
    assert (frames[12] > 200).sum() > 100, "its title is visible"
    assert len(studio.audio_samples(video)) == pytest.approx(1.3 * 48_000, abs=1100)


def test_the_explanation_is_printed_as_json(here: Path, callsheet: Command):
    path = written(here, TIMELINE)

    data = json.loads(callsheet("render", path, "--explain", "--json").stdout)
    shown = callsheet("render", path, "--explain").stdout

    assert (data["frames"], data["framesToEncode"], data["audioCodec"]) == (39, 39, "aac")
    assert data["segments"][0]["scenes"] == ["scenes[0] (dawn)"]
    assert all(shlex.join(command["arguments"]) in shown for command in data["commands"])


def test_a_list_of_clips_from_standard_input_is_a_timeline(
    here: Path, callsheet: Command, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(here.parent / "my films")

    done = callsheet("render", "-", "--explain", "--json", given='["it\'s a clip.mp4", {"color": "blue"}]')

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["duration"] == 5


def test_every_problem_is_reported_at_once(here: Path, callsheet: Command):
    timeline = {
        "scenes": [{"src": "it's a clip.mp4", "trimm": 1}, {"src": "it's a clip.mp4", "fit": "big"}],
        "output": {"crf": 99},
    }

    explained = callsheet("render", written(here, timeline), "--explain")
    rendered = callsheet("render", written(here, timeline))
    exported = callsheet("timeline", "export", written(here, timeline), "x.otio")

    for done in (explained, rendered, exported):
        assert done.exit_code == 2
        assert done.stderr.splitlines()[0] == "The timeline is invalid (3 problems)"
        assert "  scenes[0].trimm: unknown field, did you mean 'trimEnd'?" in done.stderr
        assert "  scenes[1].fit: " in done.stderr
        assert "  output.crf: " in done.stderr


def test_unsuitable_files_are_reported_with_their_fields(here: Path, callsheet: Command, studio: Studio):
    (here / "tone.wav").write_bytes(studio.sound("tone.wav", "sine", seconds=1).read_bytes())
    timeline = {
        "scenes": [{"src": str(here / "tone.wav"), "type": "video"}, {"src": "it's a clip.mp4", "trimStart": 9}]
    }

    done = callsheet("render", written(here, timeline), "--explain")
    gone = callsheet("render", written(here, ["gone.mp4"]), "--explain")

    assert done.exit_code == gone.exit_code == 2
    assert "  scenes[0].type: the file has only audio, no video" in done.stderr
    assert "  scenes[1].trimStart: trim_start is 9 s" in done.stderr
    assert "gone.mp4" in gone.stderr


def test_other_folders_must_be_allowed(here: Path, tmp_path: Path, callsheet: Command):
    (tmp_path / "elsewhere").mkdir()
    other = (here.parent / "my films" / "it's a clip.mp4").rename(tmp_path / "elsewhere" / "clip.mp4")
    path = written(here, [str(other)])

    refused = callsheet("render", path, "--explain")
    allowed = callsheet("render", path, "--explain", "--allow", tmp_path / "elsewhere")

    assert refused.exit_code == 2
    assert allowed.exit_code == 0, allowed.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: []", "this is a plan; run it with `callsheet run`"),
        ("42", "a timeline is an object with scenes"),
        ("scenes: [", "not YAML"),
        ("", "a timeline is an object with scenes"),
    ],
)
def test_input_that_is_not_a_timeline_is_rejected(here: Path, callsheet: Command, text: str, message: str):
    done = callsheet("render", "-", given=text)

    assert done.exit_code == 2
    assert message in done.stderr


def test_a_missing_timeline_exits_with_status_3(here: Path, callsheet: Command):
    assert callsheet("render", "gone.yaml").exit_code == 3
    assert callsheet("timeline", "import", "gone.otio").exit_code == 3
    assert callsheet("render", "gone.otio", "--explain").exit_code == 3


def test_the_output_file_name_must_match_the_format(here: Path, callsheet: Command):
    done = callsheet("render", written(here, {**TIMELINE, "output": {"format": "mp4"}}), "--out", "film.webm")
    explained = callsheet("render", written(here, TIMELINE), "--explain", "--out", "film.mp4")

    assert done.exit_code == explained.exit_code == 2
    assert "output.format: the format is mp4, but the output file is film.webm" in done.stderr
    assert "--out must be a folder" in explained.stderr


def test_a_timeline_is_exported_and_imported(here: Path, callsheet: Command):
    out = callsheet("timeline", "export", written(here, TIMELINE), "film.otio", "--json")
    back = callsheet("timeline", "import", "film.otio")
    explained = callsheet("render", "film.otio", "--explain", "--json", "--allow", here.parent / "my films")

    data = json.loads(out.stdout)
    assert (data["file"], data["duration"]) == ("film.otio", 1.3)
    assert "texts" in data["notes"][0]
    timeline = yaml.safe_load(back.stdout)
    assert timeline["scenes"][0]["src"] == str(here.parent / "my films" / "it's a clip.mp4")
    assert timeline["scenes"][0]["title"] == {"text": "Hello"}
    assert timeline == json.loads(callsheet("timeline", "import", "film.otio", "--json").stdout)
    assert json.loads(explained.stdout)["frames"] == 39


def test_omissions_of_an_import_are_printed_to_stderr(here: Path, callsheet: Command):
    from opentimelineio import adapters, schema
    from opentimelineio.opentime import RationalTime, TimeRange

    clip = schema.Clip("a", schema.ExternalReference("a.mp4"), TimeRange(RationalTime(0, 25), RationalTime(25, 25)))
    clip.effects.append(schema.Effect(effect_name="Glow"))
    otio_timeline = schema.Timeline("x")
    otio_timeline.tracks.append(schema.Track("V", children=[clip], kind="Video"))
    adapters.write_to_file(otio_timeline, str(here / "x.otio"))

    done = callsheet("timeline", "import", "x.otio")

    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout)["output"] == {"fps": 25}
    assert "tracks.children[0].children[0]: the effect 'Glow' of 'a' was left out\n" in done.stderr
