"""The mapping of LoRA training jobs."""

from types import SimpleNamespace

import pytest

from callsheet.domain.errors import PlanRefused
from callsheet.domain.plan_validation import check_plan, read_submission
from callsheet.intake.bullmq.intake import MAPPINGS, BullMQIntake
from callsheet.intake.mappings import Payload
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.train_lora import train_lora
from callsheet.settings import Settings

DATA = {"jobId": "42", "datasetPath": "/sets/face", "outputDir": "/loras", "trainingName": "face", "dryRun": True}


def result_of(metadata, results):
    """The result that a producer of BullMQ receives."""
    execution = SimpleNamespace(execution_id="7", metadata=metadata, jobs=[])
    outcome = SimpleNamespace(execution=execution, results=results, published=[], artifacts=[])
    return object.__new__(BullMQIntake).result(outcome)


def plan_of(data):
    payload = Payload("lora-training", "train", "7", data, Settings(_env_file=None))
    return read_submission(MAPPINGS["lora-training"](payload))


@pytest.mark.parametrize("data", [DATA, {"jobId": "42", "payload": DATA}])
def test_a_lora_training_job_becomes_a_train_lora_job(data):
    submission = plan_of(data)
    [job] = submission.execution_plan.jobs

    assert (job.operation, submission.metadata) == ("train-lora", {"resultOf": "lora"})
    params = train_lora.params.model_validate(job.params)
    assert (params.dataset.text, params.output_dir, params.training_name) == ("/sets/face", "/loras", "face")
    assert (params.dry_run, params.caption) == (True, "face")


def test_all_problems_of_a_lora_training_job_are_found_at_once():
    submission = plan_of({"trainingName": "../up", "datasetPath": "", "epochs": 0, "speed": 3})
    with pytest.raises(PlanRefused) as refused:
        check_plan(submission.execution_plan, Catalog([train_lora]), max_jobs=10)

    assert {problem.path.rpartition(".")[2] for problem in refused.value.problems} == {
        "trainingName",
        "datasetPath",
        "epochs",
        "speed",
    }


def test_the_result_of_the_message_has_the_fields_of_the_training():
    results = {"lora": {"commandPreview": "python train.py", "outputDir": "/loras/face", "status": "odd"}}

    assert result_of({"resultOf": "lora"}, results) == {
        "commandPreview": "python train.py",
        "outputDir": "/loras/face",
        "executionId": "7",
        "status": "succeeded",
        "artifacts": [],
    }


@pytest.mark.parametrize("metadata", [{}, {"resultOf": "other"}, {"resultOf": ["lora"]}])
def test_other_messages_have_no_fields_of_a_job(metadata):
    assert result_of(metadata, {"lora": {"a": 1}}).keys() == {"executionId", "status", "artifacts"}


@pytest.mark.parametrize("name", ["lora-training", "train_lora", "train_lora_task"])
def test_names_of_other_systems_are_accepted_for_a_training(name):
    assert Catalog([train_lora])[name].name == "train-lora"
