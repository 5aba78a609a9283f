"""Trainings of voices on the engine, with a fake F5-TTS."""

import wave
import zipfile

import pytest
from plans import job, plan
from tests.support import fake_f5_tts

from callsheet.operations.train_voice import train_voice
from callsheet.testing.engine import running_engine


def record(path, seconds=1.0):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(16000 * seconds)))


@pytest.fixture
def settings(settings, tmp_path):
    (tmp_path / "sets/me").mkdir(parents=True)
    for number in range(2):
        record(tmp_path / f"sets/me/{number}.wav")
        (tmp_path / f"sets/me/{number}.txt").write_text("Hello | there,\nyou.")
    fake_f5_tts.install(tmp_path / "f5")
    update = {
        "training_datasets": [tmp_path / "sets"],
        "training_output": tmp_path / "out",
        "f5_tts_path": tmp_path / "f5",
    }
    return settings.model_copy(update=update)


@pytest.fixture
async def engine(settings):
    async with running_engine([train_voice], settings=settings) as engine:
        yield engine


def training(**params):
    return plan(job("voice", "train_voice", params={"dataset": "me", "trainingName": "me", "epochs": 3, **params}))


async def test_a_voice_and_its_checkpoints_are_artifacts(engine, tmp_path):
    execution = await engine.run(training())

    assert execution.status == "succeeded", execution.jobs[0].error
    result = execution.jobs[0].result
    assert result["voice"]["name"] == "model_last.pt"
    assert [file["name"] for file in result["checkpoints"]] == ["model_2.pt", "model_4.pt", "model_6.pt"]
    assert (result["recordings"], result["recordedSeconds"]) == (2, 2.0)
    assert [point["step"] for point in result["losses"]] == [1, 2, 3, 4, 5, 6]
    stored = next(a for a in execution.artifacts if a.name == "model_last.pt")
    path = tmp_path / "voice.pt"
    path.write_bytes(b"".join([chunk async for chunk in engine.runtime.storage.stream(stored.key)]))
    assert zipfile.ZipFile(path).read("data.pkl") == b"3"


async def test_a_voice_training_that_failed_continues(engine, tmp_path):
    fake_f5_tts.behave(tmp_path / "f5", fail=True)
    failed = await engine.run(training())

    assert failed.jobs[0].error.code == "trainer_failed"
    assert "lower batchFrames" in failed.jobs[0].error.message
    assert [(a.name, a.from_unfinished_run) for a in failed.artifacts] == [("model_2.pt", True)]
    fake_f5_tts.behave(tmp_path / "f5")
    await engine.retry(failed.execution_id)
    execution = await engine.ended(failed.execution_id)
    result = execution.jobs[0].result
    assert result["resumed"] is True
    assert [file["name"] for file in result["checkpoints"]] == ["model_2.pt", "model_4.pt", "model_6.pt"]


async def test_a_dry_run_of_a_voice_shows_both_commands(engine, tmp_path):
    execution = await engine.run(training(dryRun=True))

    result = execution.jobs[0].result
    assert next(argv[-2:] for argv in result["commands"]) == [
        str(tmp_path / "out/me/metadata.csv"),
        str(tmp_path / "out/me/data"),
    ]
    assert "finetune_cli.py" in result["commandPreview"]
    assert not (tmp_path / "out").exists()


async def test_all_problems_of_recordings_fail_the_job(engine, tmp_path):
    record(tmp_path / "sets/me/long.wav", 31)
    (tmp_path / "sets/me/long.txt").write_text("too long")
    (tmp_path / "sets/me/0.txt").unlink()
    (tmp_path / "sets/me/1.wav").write_bytes(b"noise")
    execution = await engine.run(training())

    error = execution.jobs[0].error
    assert (error.code, {problem.path for problem in error.problems}) == (
        "bad_params",
        {"dataset/long.wav", "dataset/0.wav", "dataset/1.wav"},
    )
