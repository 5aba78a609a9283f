"""The demo film and the example plans."""

from itertools import pairwise
from pathlib import Path

import pytest
from media.studio import FakeContext, Studio
from PIL import Image

from callsheet.cli.demo import OPERATIONS, plan
from callsheet.cli.demo import score as music
from callsheet.cli.demo.desk import ROWS, SIZE
from callsheet.cli.demo.music import demo_music
from callsheet.cli.demo.scene import demo_scene
from callsheet.cli.demo.still import demo_still
from callsheet.domain.errors import BadParams
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import check_plan, read_plan, validate_params
from callsheet.operation_api.catalog import discover
from callsheet.operations.finish import finish
from callsheet.operations.preview import preview
from callsheet.operations.render import render
from callsheet.operations.transcode import transcode
from callsheet.settings import Settings

BUILT_IN = {op.name: op for op in (render, finish, transcode, preview)}
ALL = BUILT_IN | {op.name: op for op in OPERATIONS}
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return Studio(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def stage(tmp_path):
    return FakeContext(tmp_path)


def film() -> dict:
    return next(job["params"] for job in plan()["jobs"] if job["id"] == "film")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_valid_plan(path):
    settings = Settings(
        _env_file=None,
        models_file=path.parent / "models" / "own.yaml",
        steps_file=path.parent / "steps" / "steps.yaml",
    )
    data = read_plan_text(path.read_bytes(), max_bytes=1 << 20)

    check_plan(read_plan(data), discover().with_settings(settings), max_jobs=100)


def test_there_is_an_example_for_each_operation():
    used = {
        job["operation"] for path in EXAMPLES for job in read_plan_text(path.read_bytes(), max_bytes=1 << 20)["jobs"]
    }

    assert used >= {*BUILT_IN, "caption"}


def test_the_demo_plan_has_sources_a_film_and_versions_of_it():
    checked = check_plan(read_plan(plan()), ALL, max_jobs=100)

    assert {job for job, upstream in checked.upstream.items() if not upstream} == {
        "dawn", "mountains", "sheet", "city", "music",
    }  # fmt: skip
    assert set(checked.upstream["film"]) == {"dawn", "mountains", "sheet", "city", "music"}
    assert {job for job, upstream in checked.upstream.items() if upstream == ["film"]} == {"square", "web", "stills"}


def test_the_demo_uses_every_built_in_operation():
    assert set(BUILT_IN) <= {job["operation"] for job in plan()["jobs"]}


def test_the_preset_of_the_film_can_be_chosen():
    jobs = {job["id"]: job for job in plan(preset="ultrafast")["jobs"]}

    assert jobs["film"]["params"]["output"]["preset"] == "ultrafast"
    assert film()["output"]["preset"] == "veryfast", "a call does not change the next one"


def test_sources_have_the_duration_that_the_film_needs():
    lengths = {
        job["id"]: job.get("params", {}).get("duration")
        for job in plan()["jobs"]
        if job["operation"].startswith("demo-")
    }
    scenes = film()["scenes"]
    durations = [lengths.get(scene.get("src", "").strip("${}").split(".")[0]) or scene["duration"] for scene in scenes]
    overlaps = sum(scene.get("transition", {}).get("duration", 0) for scene in scenes)

    assert sum(durations) - overlaps == pytest.approx(lengths["music"])
    assert 12 <= lengths["music"] <= 18


def test_captions_follow_each_other_and_end_before_the_film():
    cues = film()["captions"]["cues"]
    ends = [cue["end"] for cue in cues]

    assert len(cues) == 5
    assert all(start["end"] <= after["start"] for start, after in pairwise(cues))
    assert ends[-1] < 17.6
    assert all(len(line) <= 34 for cue in cues for line in cue["text"].splitlines()), "they fit a narrow screen"
    assert all(len(cue["text"]) / (cue["end"] - cue["start"]) <= 24 for cue in cues), "they can be read in time"


def test_the_call_sheet_lists_the_jobs_of_the_plan():
    ids = {job["id"] for job in plan()["jobs"]}

    assert {name for _, row, _, _ in ROWS for name in row.split(", ")} <= ids


@pytest.mark.parametrize("picture", ["dawn", "mountains", "city"])
async def test_each_landscape_moves_smoothly_in_color(studio, stage, picture):
    result = await demo_scene.run(stage, demo_scene.params(picture=picture, duration=0.3))

    found = result.video.probe
    frames = studio.gray_frames(stage.kept[0], size=(108, 192), filters="scale=108:192")
    changes = abs(frames[1:] - frames[:-1]).mean(axis=(1, 2))
    assert (found.width, found.height, found.fps, found.frames) == (1080, 1920, 30, 9)
    assert frames.std() > 25, "the frame is not uniform"
    assert changes.min() > 0.2 and changes.max() < 3 * changes.min(), "every frame moves, and none jumps"


async def test_the_still_is_larger_than_the_film(stage):
    await demo_still.run(stage, demo_still.params())

    assert Image.open(stage.kept[0]).size == SIZE == (1296, 2304)


async def test_the_music_has_no_gap_and_no_clipping(studio, stage):
    await demo_music.run(stage, demo_music.params(duration=17.6))

    audio = studio.audio_samples(stage.kept[0])
    parts = [(audio[start : start + 12_000] ** 2).mean() ** 0.5 for start in range(0, len(audio) - 48_000, 12_000)]
    assert len(audio) == pytest.approx(17.6 * 48_000, abs=100)
    assert 0.1 < abs(audio).max() < 0.95
    assert min(parts) > 0.01
    assert abs(audio[-480:]).max() < 0.02, "it fades out"
    assert abs(audio[:, 0] - audio[:, 1]).max() > 0.05, "it is in stereo"


def test_notes_have_the_frequency_of_their_pitch():
    assert music.frequency("A4") == 440
    assert music.frequency("C5") == pytest.approx(523.25, abs=0.01)
    assert music.frequency("F#4") == pytest.approx(369.99, abs=0.01)


@pytest.mark.parametrize("params", [{"picture": "moon"}, {"picture": "dawn", "duration": 300}])
def test_invalid_params_are_rejected(params):
    with pytest.raises(BadParams):
        validate_params(params, demo_scene.params)
