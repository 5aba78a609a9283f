"""What all trainings have in common: params and results, their dataset folder, and the run of their commands."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, ConfigurationError, Problem, TrainerFailed
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.operation_api.contract import Context
from callsheet.operations.training_files import StoredFiles
from callsheet.operations.training_progress import LossPoint, TrainingProgress
from callsheet.training.commands import Command, preview_of
from callsheet.training.dataset_source import extract_dataset, resolve_dataset
from callsheet.training.output_folder import TrainingFolder
from callsheet.training.trainer_process import run_command
from callsheet.training.trainers import Machine

TrainingName = Annotated[
    str, TextForm(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$", "1 to 80 letters, digits, '.', '_' and '-'")
]


class TrainingTarget(Model):
    """Where the files of a training are, and how it runs."""

    output_dir: str | None = Field(
        None,
        max_length=1000,
        validation_alias=AliasChoices(
            *("output_dir", "outputDir", "output_directory", "outputDirectory", "output_path", "outputPath")
        ),
        description="Folder of the training's folder, inside TRAINING_OUTPUT. Default: TRAINING_OUTPUT itself",
    )
    dry_run: bool = Field(
        False,
        validation_alias=AliasChoices("dry_run", "dryRun"),
        description="Do everything but execute: check the dataset, and return the commands",
    )
    resume: bool = Field(
        True,
        description="Continue an unfinished training of the same name, dataset and options. If it is off, or if "
        "something else is in the folder, that is moved to `<name>.earlier-1`",
    )


class TrainingResult(Model):
    """How a model was trained."""

    dry_run: bool
    training_name: str
    output_dir: str = Field(description="Folder of the files on the worker")
    command_preview: str = Field(description="The commands, as they can be typed into a shell; one per line")
    commands: list[list[str]] = Field(description="The commands as argument lists")
    checkpoints: list[Artifact] = Field(default_factory=list, description="Also those of earlier runs of the job")
    samples: list[Artifact] = Field(default_factory=list)
    losses: list[LossPoint] = Field(default_factory=list, description="Loss during the run, at most 200 points")
    final_loss: float | None = None
    seconds: float = Field(0.0, description="Time of the trainer in this run")
    log_excerpts: list[str] = Field(description="First and last lines of the trainer's output; of a dry run, its plan")
    notes: list[str] = Field(default_factory=list, description="What is missing on the machine; only in a dry run")


def command_facts(commands: Sequence[Command]) -> dict[str, Any]:
    """Return the fields of the result about the commands."""
    return {"command_preview": preview_of(commands), "commands": [list(command.argv) for command in commands]}


def dry_run_facts(
    job: Context, plan: Sequence[str], path: Path, commands: Sequence[Command], machine: Machine
) -> dict[str, Any]:
    """Log what a training would do, and return the fields of its result. `plan` are its first lines."""
    excerpts = [
        *plan,
        f"folder: {path}",
        *(f"command: {command.preview}" for command in commands),
        *(f"missing: {sentence}" for sentence in machine.missing),
        "dry run: no command was executed",
    ]
    for line in excerpts:
        job.log(line)
    return {"dry_run": True, "log_excerpts": excerpts, "notes": machine.missing}


def check_machine(machine: Machine) -> None:
    """Raise ConfigurationError with all that the machine lacks."""
    if machine.missing:
        raise ConfigurationError("This training cannot run on this worker. " + " ".join(machine.missing))


async def run_training(
    commands: Sequence[Command],
    folder: TrainingFolder,
    progress: TrainingProgress,
    stored: StoredFiles,
    *,
    prepare: Callable[[], None],
    final: str,
) -> tuple[Artifact, dict[str, Any]]:
    """Run the commands of a training that has not finished. Return the model, and fields of the result.

    `prepare` writes what the commands read; `final` is the file name of the model. Raises TrainerFailed.
    """
    started = time.monotonic()
    if not folder.record.finished:
        await asyncio.to_thread(prepare)
        await run_commands(commands, progress, stored)
        folder.record.finished = True
        await asyncio.to_thread(folder.save)
    await stored.store_rest(succeeded=True)
    models = stored.checkpoints()
    finished = [artifact for artifact in models if artifact.name == final]
    if not finished:
        raise TrainerFailed(f"The trainer has succeeded, but did not write {final}.")
    return finished[0], {
        "dry_run": False,
        "checkpoints": [artifact for artifact in models if artifact.name != final],
        "samples": stored.samples(),
        "losses": progress.losses,
        "final_loss": progress.last_loss.loss if progress.last_loss else None,
        "seconds": round(time.monotonic() - started, 3),
        "log_excerpts": progress.excerpts.lines,
    }


def digest_of(*determining: Any) -> str:
    """Return a digest of what determines a training, so that another one does not continue it."""
    return hashlib.sha256(json.dumps(determining, sort_keys=True).encode()).hexdigest()


async def dataset_folder(job: Context, source: MediaSource) -> Path:
    """Return the folder of a dataset: the folder itself, or that of an extracted zip archive.

    Raises BadSource for a source that is not allowed, and BadParams for an archive that cannot be used.
    """
    if source.kind is SourceKind.PATH:
        roots = [*job.settings.training_datasets, *job.settings.source_roots]
        found = await asyncio.to_thread(resolve_dataset, source.text, roots)
        if await asyncio.to_thread(found.is_dir):
            return found
    else:
        found = await job.fetch_input(source)
    return await asyncio.to_thread(extract_dataset, found, job.dir / "dataset")


def refuse(problems: Sequence[Problem], field: str) -> None:
    """Raise BadParams with the problems of a dataset, if there are any. `field` is the name of its parameter."""
    if problems:
        located = [Problem(f"{field}/{p.path}" if p.path else field, p.code, p.message) for p in problems]
        raise BadParams(located, "The dataset cannot be used")


async def run_commands(commands: Sequence[Command], progress: TrainingProgress, stored: StoredFiles) -> None:
    """Run the commands, and store files as they appear; also those of a trainer that fails.

    Raises TrainerFailed with the end of its output.
    """
    storing = asyncio.create_task(stored.store_as_they_appear(), name="store the files of a training")
    try:
        for command in commands:
            progress.start(command)
            await run_command(command, progress.on_line)
            progress.end()
    except TrainerFailed as error:
        await _end(storing)
        await stored.store_rest(succeeded=False)
        raise progress.failure(error) from None
    finally:
        await _end(storing)


async def _end(storing: "asyncio.Task[None]") -> None:
    storing.cancel()
    [ended] = await asyncio.gather(storing, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended
