"""What each profile of a LoRA training needs: its files, its dataset configuration, its commands."""

from pathlib import Path
from typing import Any

from callsheet.training import kohya, musubi
from callsheet.training.commands import Command
from callsheet.training.dataset_config import kohya_config, musubi_config, peft_config
from callsheet.training.dataset_files import IMAGES, VIDEOS
from callsheet.training.lora_run import LoraRun, Resume
from callsheet.training.output_folder import State, TrainingFolder
from callsheet.training.peft import peft_commands
from callsheet.training.trainers import Machine

_KOHYA = frozenset({"sd15", "sdxl", "flux"})


def usable_files(profile: str) -> frozenset[str]:
    """Return the extensions of the images and videos that the trainer of a profile can use."""
    return IMAGES | VIDEOS if profile == "wan" else IMAGES


def commands_of(run: LoraRun, machine: Machine) -> list[Command]:
    """Return the commands of a run, in their order."""
    profile = run.options.profile.name
    if profile in _KOHYA:
        return kohya.kohya_commands(run, machine)
    return musubi.musubi_commands(run, machine) if profile == "wan" else peft_commands(run, machine)


def config_of(run: LoraRun) -> dict[str, Any]:
    """Return the dataset configuration of a run."""
    profile = run.options.profile.name
    if profile in _KOHYA:
        return kohya_config(run.subsets, run.options)
    if profile == "wan":
        return musubi_config(run.subsets, run.options, run.folder / "cache")
    return peft_config(run.subsets, run.options)


def file_name_of(run: LoraRun) -> str:
    """Return the name of the files of a run, without number and extension."""
    profile = run.options.profile.name
    if profile in _KOHYA:
        return kohya.file_name(run)
    return musubi.file_name(run) if profile == "wan" else run.name


def find_resume(folder: TrainingFolder, profile: str, steps_per_epoch: int) -> Resume | None:
    """Return where a training continues: the newest state of its latest run that left one; None without one."""
    for earlier in reversed(folder.record.runs):
        if states := folder.states(earlier["name"]):
            return _resume_from(states[-1], earlier, profile, steps_per_epoch)
    return None


def _resume_from(state: State, earlier: dict[str, Any], profile: str, steps_per_epoch: int) -> Resume:
    epochs, steps = (state.number // steps_per_epoch, state.number) if state.in_steps else (state.number, 0)
    if not state.in_steps:
        steps = epochs * steps_per_epoch
    counts_from_start = profile == "wan" or (profile in _KOHYA and state.in_steps)
    if counts_from_start:  # the numbers of its files start again with each run
        epochs, steps = epochs + earlier["epochs"], steps + earlier["steps"]
    return Resume(state.path, epochs, steps)


def final_file(run: LoraRun) -> Path:
    """Return the path of the finished LoRA."""
    return run.folder / f"{file_name_of(run)}.safetensors"
