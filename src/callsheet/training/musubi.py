"""Commands of musubi-tuner, for Wan.

The options are those of `wan_cache_latents.py`, `wan_cache_text_encoder_outputs.py` and `wan_train_network.py` in
commit 30c658c of https://github.com/kohya-ss/musubi-tuner.
"""

from pathlib import Path

from callsheet.training.commands import Command, options_text
from callsheet.training.kohya import Options
from callsheet.training.lora_run import LoraRun
from callsheet.training.options import Wan
from callsheet.training.trainers import Machine, in_folder

_LATENTS, _TEXTS = "wan_cache_latents.py", "wan_cache_text_encoder_outputs.py"
_CACHE_WEIGHT = 0.04
_DATA_LOADERS = 2


def file_name(run: LoraRun) -> str:
    """Return the name of the files of a run. After a resume, musubi-tuner counts from the start again."""
    if run.resume is None:
        return run.name
    return f"{run.name}-after-{run.resume.steps if run.checkpoint_epochs is None else run.resume.epochs}"


def musubi_commands(run: LoraRun, machine: Machine) -> list[Command]:
    """Return the commands: encode the images and videos, encode the captions, train."""
    wan = run.options.profile
    assert isinstance(wan, Wan)  # noqa: S101 - the only profile of musubi-tuner
    folder = machine.folder("musubi_path", "wan_train_network.py")
    python = machine.python("musubi_python", folder)
    vae, t5, clip = (machine.base_model(role) for role in ("wan.vae", "wan.t5", "wan.clip"))
    images_to_video = wan.task.startswith("i2v")
    config: Options = {"dataset_config": str(run.config_path)}
    latents: Options = {**config, "vae": vae, "clip": clip, "i2v": images_to_video, "skip_existing": True}
    texts: Options = {**config, "t5": t5, "fp8_t5": wan.fp8, "skip_existing": True}
    training = {**_training(run, wan, machine), "vae": vae, "t5": t5, "clip": clip}
    train = machine.accelerate(python, in_folder(folder, "wan_train_network.py"))
    first = 0 if run.resume is None else run.resume.steps
    return [
        _caching("encoding images", (python, in_folder(folder, _LATENTS), *options_text(latents)), folder),
        _caching("encoding captions", (python, in_folder(folder, _TEXTS), *options_text(texts)), folder),
        Command("training", (*train, *options_text(training)), folder, first_step=first, counts_all_steps=False),
    ]


def _caching(label: str, argv: tuple[str, ...], folder: Path | None) -> Command:
    return Command(label, argv, folder, weight=_CACHE_WEIGHT)


def _training(run: LoraRun, wan: Wan, machine: Machine) -> Options:
    options = run.options
    done_epochs, done_steps = (run.resume.epochs, run.resume.steps) if run.resume else (0, 0)
    return {
        "task": wan.task,
        "dit": machine.base_model("wan", options.base_model),
        "dit_high_noise": machine.base_model("wan.high_noise") if "A14B" in wan.task else None,
        "dataset_config": str(run.config_path),
        "output_dir": str(run.folder),
        "output_name": file_name(run),
        "network_module": "networks.lora_wan",
        "network_dim": options.network_dim,
        "network_alpha": options.alpha,
        "learning_rate": options.learning_rate,
        "optimizer_type": options.optimizer,
        "lr_scheduler": options.scheduler,
        "lr_warmup_steps": options.warmup_steps or None,
        "max_train_epochs": None if options.epoch_count is None else max(1, options.epoch_count - done_epochs),
        "max_train_steps": None if options.steps is None else max(1, options.steps - done_steps),
        "gradient_accumulation_steps": options.gradient_accumulation,
        "gradient_checkpointing": options.gradient_checkpointing,
        "mixed_precision": machine.settings.training_mixed_precision,
        "seed": options.seed,
        "sdpa": True,
        "max_data_loader_n_workers": _DATA_LOADERS,
        "timestep_sampling": wan.timestep_sampling,
        "discrete_flow_shift": wan.discrete_flow_shift,
        "fp8_base": wan.fp8,
        "fp8_t5": wan.fp8,
        "blocks_to_swap": wan.blocks_to_swap,
        **_checkpoints(run),
    }


def _checkpoints(run: LoraRun) -> Options:
    every, steps = run.checkpoint_epochs, run.options.save_every_steps
    samples = bool(run.options.sample_prompts)
    return {
        "save_every_n_epochs": every,
        "save_every_n_steps": None if every is not None else steps,
        "save_state": True,
        "save_last_n_epochs_state": None if every is None else 1,
        "save_last_n_steps_state": None if every is not None else steps,
        "sample_prompts": str(run.prompts_path) if samples else None,
        "sample_every_n_epochs": every if samples else None,
        "sample_every_n_steps": steps if samples and every is None else None,
        "resume": str(run.resume.state) if run.resume else None,
    }
