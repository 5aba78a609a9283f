"""Operation `train-lora`: train a LoRA with a trainer of this machine."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
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
from callsheet.training.bucketing import Size, fill_buckets, steps_per_epoch, total_steps
from callsheet.training.commands import Command
from callsheet.training.dataset_check import DatasetRules, check_dataset
from callsheet.training.dataset_files import Subset
from callsheet.training.lora_profiles import commands_of, config_of, file_name_of, final_file, find_resume, usable_files
from callsheet.training.lora_run import LoraRun
from callsheet.training.options import LoraOptions
from callsheet.training.output_folder import TrainingFolder, open_folder, output_path
from callsheet.training.trainers import Machine

_SMALLER = "lower batchSize, resolution or networkDim, or use fp8 and blocksToSwap where the profile has them"


class DatasetImage(Model):
    """One file of a dataset."""

    src: MediaSource = Field(description="An image; a video where the profile can use one")
    caption: str | None = Field(None, min_length=1, max_length=5000)


class TrainLoraParams(TrainingTarget, LoraOptions):
    """Dataset, name and options of a training."""

    # Merged with the configuration of the base class. The example has more than the required fields, of which there are
    # none: a dataset can be given in two ways.
    model_config = ConfigDict(json_schema_extra={"examples": [{"dataset": "face", "trainingName": "face"}]})

    dataset: MediaSource | None = Field(
        None,
        validation_alias=AliasChoices(
            *("dataset", "dataset_path", "datasetPath", "dataset_dir", "datasetDir", "train_data_dir", "trainDataDir")
        ),
        description="A folder or zip archive below a folder of TRAINING_DATASETS, or a zip archive from elsewhere. "
        "Each image has a caption of the same name: `cat.png`, `cat.txt`. Subfolders such as `10_cat` set repeats",
    )
    images: list[DatasetImage] = Field(
        default_factory=list, max_length=2000, description="The files of the dataset, instead of `dataset`"
    )
    training_name: TrainingName | None = Field(
        None,
        validation_alias=AliasChoices("training_name", "trainingName", "output_name", "outputName", "name"),
        description="Name of the LoRA and of its folder. Default: the id of the job",
    )

    @model_validator(mode="after")
    def _check_dataset(self) -> "TrainLoraParams":
        if self.dataset is None and not self.images:
            raise ValueError("give dataset or images")
        if self.dataset is not None and self.images:
            raise ValueError("give dataset or images, not both")
        return self


class BucketUse(Model):
    """Files that are trained at one size."""

    width: int = Field(description="Pixels")
    height: int = Field(description="Pixels")
    uses: int = Field(description="Files, times their repeats")


class DatasetSummary(Model):
    """What the dataset contains."""

    files: int
    captions: int = Field(description="Files with a caption of their own")
    buckets: list[BucketUse]
    steps_per_epoch: int = Field(description="Optimizer steps of one epoch")


class TrainLoraResult(TrainingResult):
    """The LoRA, and how it was made."""

    profile: str
    dataset: DatasetSummary
    dataset_config: dict[str, Any] | None = Field(None, description="The dataset configuration; only in a dry run")
    total_steps: int
    lora: Artifact | None = Field(None, description="The finished LoRA; none in a dry run")
    resumed_at_step: int | None = Field(None, description="Step at which the run continued an earlier one")


@operation(
    "train-lora",
    queue="train",
    timeout=timedelta(days=1),
    timeout_setting="training_timeout",
    aliases=("lora-training", "train_lora", "train_lora_task"),
)
async def train_lora(job: Context, params: TrainLoraParams) -> TrainLoraResult:
    """Train a LoRA for Stable Diffusion 1.5, SDXL, Flux or Wan."""
    name = params.training_name or str(job.id)
    path = output_path(job.settings, params.output_dir, name)
    dataset = await _dataset_folder(job, params)
    subsets = await _checked_subsets(job, params, dataset)
    buckets = fill_buckets(subsets, params)
    run = LoraRun(name, path, params, tuple(subsets), steps_per_epoch(buckets, params))
    summary = _summary(subsets, buckets, run.steps_per_epoch)
    if params.dry_run or job.settings.lora_training_dry_run:
        return _dry_run(job, run, summary)
    digest = await asyncio.to_thread(_digest, params, dataset, subsets)
    with open_folder(path, digest, job.id, resume=params.resume) as folder:
        return await _train(job, run, summary, folder)


async def _dataset_folder(job: Context, params: TrainLoraParams) -> Path:
    if params.dataset is None:
        return await _fetch_images(job, params.images)
    return await dataset_folder(job, params.dataset)


async def _fetch_images(job: Context, images: Sequence[DatasetImage]) -> Path:
    folder = job.dir / "dataset"
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    for number, image in enumerate(images, start=1):
        source = await job.fetch_input(image.src)
        target = folder / f"{number:05d}{source.suffix.lower()}"
        await asyncio.to_thread(_link, source, target)
        if image.caption is not None:
            await asyncio.to_thread(target.with_suffix(".txt").write_text, image.caption, "utf-8")
    return folder


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another disk
        target.write_bytes(source.read_bytes())


async def _checked_subsets(job: Context, params: TrainLoraParams, folder: Path) -> list[Subset]:
    settings = job.settings
    rules = DatasetRules(
        allowed=usable_files(params.profile.name),
        caption_extension=".txt" if params.images else params.caption_extension,
        captions_required=params.caption is None,
        max_pixels=settings.media_max_pixels,
        sandbox=settings.ffmpeg_sandbox,
    )
    subsets, problems = await check_dataset(
        folder, rules, on_progress=lambda share: job.progress(0.0, f"checking the dataset: {share:.0%}")
    )
    refuse(problems, "images" if params.images else "dataset")
    return subsets


def _summary(subsets: Sequence[Subset], buckets: dict[Size, int], per_epoch: int) -> DatasetSummary:
    files = [file for subset in subsets for file in subset.files]
    return DatasetSummary(
        files=len(files),
        captions=sum(file.caption is not None for file in files),
        buckets=[BucketUse(width=w, height=h, uses=uses) for (w, h), uses in sorted(buckets.items())],
        steps_per_epoch=per_epoch,
    )


def _dry_run(job: Context, run: LoraRun, summary: DatasetSummary) -> TrainLoraResult:
    machine = Machine(job.settings)
    commands = commands_of(run, machine)
    steps = total_steps(run.steps_per_epoch, run.options)
    plan = [
        f"dataset: {summary.files} files, {summary.captions} with a caption of their own",
        *(f"bucket {bucket.width}x{bucket.height}: {bucket.uses} uses per epoch" for bucket in summary.buckets),
        f"steps: {summary.steps_per_epoch} per epoch, {steps} in total",
    ]
    return TrainLoraResult(
        **_facts(run, commands, summary),
        **dry_run_facts(job, plan, run.folder, commands, machine),
        dataset_config=config_of(run),
    )


def _facts(run: LoraRun, commands: Sequence[Command], summary: DatasetSummary) -> dict[str, Any]:
    return {
        "training_name": run.name,
        "profile": run.options.profile.name,
        "output_dir": str(run.folder),
        "dataset": summary,
        "total_steps": total_steps(run.steps_per_epoch, run.options),
        **command_facts(commands),
    }


async def _train(job: Context, run: LoraRun, summary: DatasetSummary, folder: TrainingFolder) -> TrainLoraResult:
    profile = run.options.profile.name
    if folder.resumes:
        resume = await asyncio.to_thread(find_resume, folder, profile, run.steps_per_epoch)
        run = LoraRun(run.name, run.folder, run.options, run.subsets, run.steps_per_epoch, resume)
    machine = Machine(job.settings)
    commands = commands_of(run, machine)
    check_machine(machine)
    progress = TrainingProgress(job, commands, smaller=_SMALLER)
    stored = StoredFiles(job, run.folder, [run.name], folder.record.stored, folder.save)
    if run.resume is not None and not folder.record.finished:
        job.log(f"The training continues at step {run.resume.steps}.", state=run.resume.state.name)
    lora, made = await run_training(
        commands, folder, progress, stored, prepare=partial(_write_inputs, run, folder), final=final_file(run).name
    )
    resumed_at = run.resume.steps if run.resume else None
    return TrainLoraResult(**_facts(run, commands, summary), **made, lora=lora, resumed_at_step=resumed_at)


def _write_inputs(run: LoraRun, folder: TrainingFolder) -> None:
    run.config_path.write_text(json.dumps(config_of(run), ensure_ascii=False, indent=1), "utf-8")
    run.prompts_path.write_text(json.dumps(run.prompts(), ensure_ascii=False, indent=1), "utf-8")
    done = (run.resume.epochs, run.resume.steps) if run.resume else (0, 0)
    folder.record.runs.append({"name": file_name_of(run), "epochs": done[0], "steps": done[1]})
    folder.save()


def _digest(params: TrainLoraParams, dataset: Path, subsets: Sequence[Subset]) -> str:
    """Return a digest of what determines the training: the options, and names, sizes and captions of the files."""
    options = params.model_dump(mode="json", include=set(LoraOptions.model_fields))
    files = [
        (file.path.relative_to(dataset.resolve()).as_posix(), file.path.stat().st_size, file.caption, subset.repeats)
        for subset in subsets
        for file in subset.files
    ]
    return digest_of(options, files)
