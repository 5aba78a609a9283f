"""Commands of kohya's sd-scripts, for Stable Diffusion 1.5, SDXL and Flux.

The options are those of `train_network.py`, `sdxl_train_network.py` and `flux_train_network.py` in commit 48d368f of
https://github.com/kohya-ss/sd-scripts.
"""

from collections.abc import Mapping

from callsheet.training.commands import Command, options_text
from callsheet.training.lora_run import LoraRun
from callsheet.training.options import Flux, LoraOptions, StableDiffusion15, StableDiffusionXL
from callsheet.training.trainers import Machine, in_folder

Options = dict[str, str | int | float | bool | None]

_SCRIPTS = {"sd15": "train_network.py", "sdxl": "sdxl_train_network.py", "flux": "flux_train_network.py"}
_SAVE_PRECISION = {"no": "float", "fp16": "fp16", "bf16": "bf16"}
_DATA_LOADERS = 2


def file_name(run: LoraRun) -> str:
    """Return the name of the files of a run.

    After a resume, sd-scripts counts steps from 0 again, so files that are numbered in steps need another name.
    """
    if run.resume is None or run.checkpoint_epochs is not None:
        return run.name
    return f"{run.name}-after-{run.resume.steps}"


def kohya_commands(run: LoraRun, machine: Machine) -> list[Command]:
    """Return the command that trains."""
    profile = run.options.profile
    script = _SCRIPTS[profile.name]
    folder = machine.folder("kohya_path", script)
    start = machine.accelerate(machine.python("kohya_python", folder), in_folder(folder, script))
    options = _common(run, machine) | _of_profile(run.options, machine)
    first = 0 if run.resume is None else run.resume.epochs * run.steps_per_epoch
    return [Command("training", (*start, *options_text(options)), folder, first_step=first)]


def _common(run: LoraRun, machine: Machine) -> Options:
    options = run.options
    precision = machine.settings.training_mixed_precision
    values: Options = {
        "pretrained_model_name_or_path": machine.base_model(options.profile.name, options.base_model),
        "dataset_config": str(run.config_path),
        "output_dir": str(run.folder),
        "output_name": file_name(run),
        "save_model_as": "safetensors",
        "save_precision": _SAVE_PRECISION[precision],
        "mixed_precision": precision,
        "network_dim": options.network_dim,
        "network_alpha": options.alpha,
        "learning_rate": options.learning_rate,
        "optimizer_type": options.optimizer,
        "lr_scheduler": options.scheduler,
        "lr_warmup_steps": options.warmup_steps or None,
        "max_train_epochs": options.epoch_count,
        "max_train_steps": options.steps,
        "gradient_accumulation_steps": options.gradient_accumulation,
        "gradient_checkpointing": options.gradient_checkpointing,
        "seed": options.seed,
        "sdpa": True,
        "cache_latents": True,
        "max_data_loader_n_workers": _DATA_LOADERS,
        "console_log_simple": True,
    }
    return {**values, **_checkpoints(run), **_samples(run), **_resume(run)}


def _checkpoints(run: LoraRun) -> Options:
    if run.checkpoint_epochs is not None:
        return {"save_every_n_epochs": run.checkpoint_epochs, "save_state": True, "save_last_n_epochs_state": 1}
    steps = run.options.save_every_steps
    return {"save_every_n_steps": steps, "save_state": True, "save_last_n_steps_state": steps}


def _samples(run: LoraRun) -> Options:
    if not run.options.sample_prompts:
        return {}
    return {
        "sample_prompts": str(run.prompts_path),
        "sample_every_n_epochs": run.checkpoint_epochs,
        "sample_every_n_steps": run.options.save_every_steps if run.checkpoint_epochs is None else None,
    }


def _resume(run: LoraRun) -> Options:
    if run.resume is None:
        return {}
    # The epoch is given, because the step in the state starts at 0 again after the first resume.
    return {"resume": str(run.resume.state), "initial_epoch": run.resume.epochs + 1}


def _of_profile(options: LoraOptions, machine: Machine) -> Options:
    match options.profile:
        case StableDiffusion15() as sd15:
            return {
                "network_module": "networks.lora",
                "network_train_unet_only": not sd15.train_text_encoder,
                "clip_skip": sd15.clip_skip,
                "noise_offset": sd15.noise_offset,
                "min_snr_gamma": sd15.min_snr_gamma,
            }
        case StableDiffusionXL() as sdxl:
            return {
                "network_module": "networks.lora",
                "network_train_unet_only": not sdxl.train_text_encoder,
                "cache_text_encoder_outputs": not sdxl.train_text_encoder and _fixed_captions(options),
                "no_half_vae": True,
                "noise_offset": sdxl.noise_offset,
                "min_snr_gamma": sdxl.min_snr_gamma,
            }
        case Flux() as flux:
            return dict(_flux(flux, options, machine))
    raise ValueError(f"sd-scripts do not train {options.profile.name}")


def _flux(flux: Flux, options: LoraOptions, machine: Machine) -> Mapping[str, str | int | float | bool | None]:
    return {
        "network_module": "networks.lora_flux",
        "network_train_unet_only": True,
        "clip_l": machine.base_model("flux.clip_l"),
        "t5xxl": machine.base_model("flux.t5xxl"),
        "ae": machine.base_model("flux.ae"),
        "cache_text_encoder_outputs": _fixed_captions(options),
        "guidance_scale": flux.guidance_scale,
        "timestep_sampling": flux.timestep_sampling,
        "discrete_flow_shift": flux.discrete_flow_shift,
        "model_prediction_type": "raw",
        "fp8_base": flux.fp8,
        "blocks_to_swap": flux.blocks_to_swap,
    }


def _fixed_captions(options: LoraOptions) -> bool:
    """Return whether each caption is the same in every epoch, so that its encoding can be kept."""
    return not options.shuffle_caption
