"""Trainings on the engine, with a fake trainer that has the command line and the files of the real ones."""

import zipfile

import pytest
from PIL import Image
from plans import job, plan
from tests.support import fake_trainer

from callsheet.engine.worker.rescuer import mark_worker_lost
from callsheet.operations.train_lora import train_lora
from callsheet.testing.engine import running_engine

DRY = {"dataset": "set", "trainingName": "face", "dryRun": True}


@pytest.fixture
def fake(tmp_path):
    return tmp_path / "fake"


@pytest.fixture
def settings(settings, tmp_path, fake):
    (tmp_path / "sets/set").mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (64 + 64 * number, 64), "red").save(tmp_path / f"sets/set/{number}.png")
        (tmp_path / f"sets/set/{number}.txt").write_text("a red wall")
    (tmp_path / "models/diffusers").mkdir(parents=True)
    return settings.model_copy(
        update={
            "training_datasets": [tmp_path / "sets"],
            "training_output": tmp_path / "out",
            "training_models": tmp_path / "models",
            "peft_python": fake_trainer.install(fake),
            "retry_base": settings.retry_base / 1000,
        }
    )


@pytest.fixture
async def engine(settings):
    async with running_engine([train_lora], settings=settings) as engine:
        yield engine


async def stored(engine, execution_id, name):
    """Wait until a file is an artifact."""
    number = 0
    while True:
        event = await engine.wait(execution_id, "job.output", job="lora", after=number)
        number = event.number
        if getattr(event.data, "model_extra", event.data).get("artifact", {}).get("name") == name:
            return


def training(**params):
    base = {"dataset": "set", "trainingName": "face", "profile": "diffusers-peft", "steps": 6, "saveEverySteps": 2}
    return plan(job("lora", "train-lora", params={**base, **params}))


async def test_a_training_returns_its_files_and_its_losses(engine, fake, tmp_path):
    execution = await engine.run(training())

    assert execution.status == "succeeded", execution.jobs[0].error
    result = execution.jobs[0].result
    assert result["lora"]["name"] == "face.safetensors"
    assert [file["name"] for file in result["checkpoints"]] == [
        "face-step00000002.safetensors",
        "face-step00000004.safetensors",
    ]
    assert [(point["step"], point["loss"]) for point in result["losses"]][:2] == [(1, 1.0), (2, 0.5)]
    assert result["outputDir"] == str(tmp_path / "out/face")
    assert "loading the model" in result["logExcerpts"]
    assert [artifact.from_unfinished_run for artifact in execution.artifacts] == [False] * 3
    [call] = fake_trainer.calls(fake)
    assert result["commands"] == [[str(fake / "python"), *call]]


async def test_checkpoints_of_a_training_that_fails_later_are_kept(engine, fake):
    fake_trainer.behave(fake, fail_at=5)
    execution = await engine.run(training())

    [failed] = execution.jobs
    assert (failed.status, failed.error.code) == ("failed", "trainer_failed")
    assert "device-side assert" in failed.error.message
    assert sorted(artifact.name for artifact in execution.artifacts) == [
        "face-step00000002.safetensors",
        "face-step00000004.safetensors",
    ]
    assert all(artifact.from_unfinished_run for artifact in execution.artifacts)
    for artifact in execution.artifacts:
        assert [chunk async for chunk in engine.runtime.storage.stream(artifact.key)]


async def test_a_retried_training_continues_at_its_last_state(engine, fake, tmp_path):
    fake_trainer.behave(fake, fail_at=5)
    failed = await engine.run(training())
    fake_trainer.behave(fake)
    await engine.retry(failed.execution_id)
    execution = await engine.ended(failed.execution_id)

    assert execution.status == "succeeded"
    result = execution.jobs[0].result
    assert result["resumedAtStep"] == 4
    assert [file["name"] for file in result["checkpoints"]] == [
        "face-step00000002.safetensors",
        "face-step00000004.safetensors",
    ]
    arguments = fake_trainer.calls(fake)[1]
    assert arguments[arguments.index("--resume") + 1] == str(tmp_path / "out/face/face-step00000004-state")
    assert len(execution.artifacts) == 3


async def test_a_training_continues_after_the_death_of_its_worker(engine, fake):
    fake_trainer.behave(fake, pause_at=5)
    execution_id = await engine.submit(training())
    await stored(engine, execution_id, "face-step00000004.safetensors")
    [worker] = engine.workers
    await engine.kill_worker(worker)
    await mark_worker_lost(engine.runtime.database, worker.id)
    fake_trainer.behave(fake)
    await engine.start_worker()
    execution = await engine.ended(execution_id)

    assert execution.status == "succeeded"
    assert execution.jobs[0].result["resumedAtStep"] == 4
    kept = {artifact.name: artifact.from_unfinished_run for artifact in execution.artifacts}
    assert kept == {
        "face-step00000002.safetensors": True,
        "face-step00000004.safetensors": True,
        "face.safetensors": False,
    }


async def test_checkpoints_are_artifacts_while_the_trainer_runs_and_after_a_cancellation(engine, fake):
    fake_trainer.behave(fake, pause_at=3)
    execution_id = await engine.submit(training())
    await stored(engine, execution_id, "face-step00000002.safetensors")
    [artifact] = (await engine.execution(execution_id)).artifacts
    await engine.cancel(execution_id)
    execution = await engine.ended(execution_id)

    assert (artifact.name, artifact.from_unfinished_run) == ("face-step00000002.safetensors", True)
    assert execution.status == "cancelled"
    assert [each.name for each in execution.artifacts] == ["face-step00000002.safetensors"]


async def test_a_dry_run_does_everything_but_execute(engine, fake, tmp_path):
    execution = await engine.run(plan(job("lora", "lora-training", params=DRY)))

    result = execution.jobs[0].result
    assert result["dryRun"] is True
    assert result["commandPreview"].startswith("python -m accelerate.commands.launch")
    assert result["outputDir"] == str(tmp_path / "out/face")
    assert result["datasetConfig"]["datasets"][0]["subsets"][0]["image_dir"] == str(tmp_path / "sets/set")
    assert result["logExcerpts"][-1] == "dry run: no command was executed"
    assert "CALLSHEET_KOHYA_PATH is not set" in " ".join(result["notes"])
    assert not (tmp_path / "out").exists()
    assert fake_trainer.calls(fake) == []


async def test_the_setting_makes_every_training_a_dry_run(settings, fake):
    settings = settings.model_copy(update={"lora_training_dry_run": True})
    async with running_engine([train_lora], settings=settings) as engine:
        execution = await engine.run(training())
    assert execution.jobs[0].result["dryRun"] is True
    assert fake_trainer.calls(fake) == []


async def test_a_dataset_can_be_an_archive(engine, tmp_path):
    with zipfile.ZipFile(tmp_path / "sets/set.zip", "w") as archive:
        for path in (tmp_path / "sets/set").iterdir():
            archive.write(path, f"3_wall/{path.name}")
    execution = await engine.run(training(dataset="set.zip"))

    assert execution.status == "succeeded", execution.jobs[0].error
    assert execution.jobs[0].result["dataset"]["files"] == 2


async def test_all_problems_of_a_dataset_fail_the_job(engine, tmp_path):
    (tmp_path / "sets/set/0.png").write_bytes(b"no picture")
    (tmp_path / "sets/set/1.txt").unlink()
    execution = await engine.run(training())

    [failed] = execution.jobs
    assert failed.error.code == "bad_params"
    assert {problem.path for problem in failed.error.problems} == {"dataset/0.png", "dataset/1.png"}


async def test_a_worker_without_the_trainer_says_what_is_missing(engine):
    execution = await engine.run(training(profile="sdxl"))

    assert execution.jobs[0].error.code == "configuration_error"
    assert "CALLSHEET_KOHYA_PATH is not set" in execution.jobs[0].error.message
