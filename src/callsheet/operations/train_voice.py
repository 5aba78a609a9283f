"""Operation `train-voice`: train a voice with F5-TTS."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.training_files import StoredFiles
from callsheet.operations.training_progress import TrainingProgress
from callsheet.operations.training_run import (
    TrainingName,
    TrainingResult,
    TrainingTarget,
    check_machine,
    command_facts,
    dataset_folder,
    digest_of,
    dry_run_facts,
    refuse,
    run_training,
)
from callsheet.training.commands import Command
from callsheet.training.dataset_files import DatasetFile
from callsheet.training.f5_tts import VoiceRun, link_folders, recordings_csv, voice_commands
from callsheet.training.output_folder import TrainingFolder, open_folder, output_path
from callsheet.training.trainers import Machine
from callsheet.training.voice_check import check_recordings
from callsheet.training.voice_options import VoiceOptions

_MODEL = "model_last.pt"
"""F5-TTS overwrites it with each checkpoint; at the end it is the voice."""


class TrainVoiceParams(TrainingTarget, VoiceOptions):
    """Recordings, name and options of a training."""

    dataset: MediaSource = Field(
        validation_alias=AliasChoices(
            *("dataset", "dataset_path", "datasetPath", "dataset_dir", "datasetDir", "src", "audio")
        ),
        description="A folder or zip archive below a folder of TRAINING_DATASETS, or a zip archive from elsewhere. "
        "Each recording of 0.3 to 30 s has a transcript of the same name: `01.wav`, `01.txt`",
    )
    training_name: TrainingName | None = Field(
        None,
        validation_alias=AliasChoices("training_name", "trainingName", "voice_name", "voiceName", "name"),
        description="Name of the voice and of its folder. Default: the id of the job",
    )


class TrainVoiceResult(TrainingResult):
    """The voice, and how it was made."""

    recordings: int
    recorded_seconds: float = Field(description="Length of all recordings")
    voice: Artifact | None = Field(None, description="The finished model; none in a dry run")
    resumed: bool = Field(False, description="Whether the run continued an earlier one")


@operation(
    "train-voice",
    queue="train",
    timeout=timedelta(days=1),
    timeout_setting="training_timeout",
    aliases=("voice-training", "train_voice", "train_voice_task"),
)
async def train_voice(job: Context, params: TrainVoiceParams) -> TrainVoiceResult:
    """Train a voice for speech with F5-TTS, from recordings and their transcripts."""
    name = params.training_name or str(job.id)
    path = output_path(job.settings, params.output_dir, name)
    dataset = await dataset_folder(job, params.dataset)
    files, seconds, problems = await check_recordings(
        dataset, on_progress=lambda share: job.progress(0.0, f"checking the recordings: {share:.0%}")
    )
    refuse(problems, "dataset")
    # In the folder of F5-TTS, trainings of all output folders are side by side.
    run = VoiceRun(f"{name}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}", path, params)
    facts = {
        "training_name": name,
        "output_dir": str(path),
        "recordings": len(files),
        "recorded_seconds": round(seconds, 3),
    }
    machine = Machine(job.settings)
    commands = voice_commands(run, machine)
    facts |= command_facts(commands)
    if params.dry_run or job.settings.lora_training_dry_run:
        plan = [f"recordings: {len(files)}, {seconds:.1f} s"]
        return TrainVoiceResult(**facts, **dry_run_facts(job, plan, path, commands, machine))
    check_machine(machine)
    digest = await asyncio.to_thread(_digest, params, files)
    with open_folder(path, digest, job.id, resume=params.resume) as folder:
        return await _train(job, run, files, commands, folder, facts)


async def _train(
    job: Context,
    run: VoiceRun,
    files: Sequence[DatasetFile],
    commands: Sequence[Command],
    folder: TrainingFolder,
    facts: dict[str, Any],
) -> TrainVoiceResult:
    progress = TrainingProgress(job, commands, smaller="lower batchFrames")
    stored = StoredFiles(job, run.folder, ["model_"], folder.record.stored, folder.save, rewritten=frozenset({_MODEL}))
    voice, made = await run_training(
        commands,
        folder,
        progress,
        stored,
        prepare=partial(_write_inputs, run, files, Machine(job.settings)),
        final=_MODEL,
    )
    return TrainVoiceResult(**facts, **made, voice=voice, resumed=folder.resumes)


def _write_inputs(run: VoiceRun, files: Sequence[DatasetFile], machine: Machine) -> None:
    recordings = [(file.path, file.caption or "") for file in files]
    run.csv_path.write_text(recordings_csv(recordings), "utf-8")
    link_folders(run, machine)


def _digest(params: TrainVoiceParams, files: Sequence[DatasetFile]) -> str:
    """Return a digest of what determines the training: the options, and names, sizes and texts of the recordings."""
    options = params.model_dump(mode="json", include=set(VoiceOptions.model_fields))
    facts = [(_name(file.path), file.path.stat().st_size, file.caption) for file in files]
    return digest_of(options, facts)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
