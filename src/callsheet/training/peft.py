"""Command of the trainer `diffusers-peft`, which comes with Callsheet (`peft_trainer.py`)."""

from pathlib import Path

from callsheet.training.bucketing import total_steps
from callsheet.training.commands import Command, options_text
from callsheet.training.kohya import Options
from callsheet.training.lora_run import LoraRun
from callsheet.training.options import DiffusersPeft
from callsheet.training.trainers import Machine

_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Without it, threads of torch that wait use up the processors that they wait for, on a busy machine without a GPU."""
SCRIPT = Path(__file__).with_name("peft_trainer.py")


def peft_commands(run: LoraRun, machine: Machine) -> list[Command]:
    """Return the command that trains."""
    options, profile = run.options, run.options.profile
    assert isinstance(profile, DiffusersPeft)  # noqa: S101 - the only profile of this trainer
    every = run.options.save_every_steps or (run.checkpoint_epochs or 1) * run.steps_per_epoch
    values: Options = {
        "model": machine.base_model("diffusers-peft", options.base_model),
        "dataset": str(run.config_path),
        "output-dir": str(run.folder),
        "output-name": run.name,
        "steps": total_steps(run.steps_per_epoch, options),
        "save-every": every,
        "prompts": str(run.prompts_path) if options.sample_prompts else None,
        "rank": options.network_dim,
        "alpha": options.alpha,
        "target-modules": ",".join(profile.target_modules),
        "learning-rate": options.learning_rate,
        "scheduler": options.scheduler,
        "warmup-steps": options.warmup_steps,
        "accumulate": options.gradient_accumulation,
        "gradient-checkpointing": options.gradient_checkpointing,
        "precision": machine.settings.training_mixed_precision,
        "seed": options.seed,
        "resume": str(run.resume.state) if run.resume else None,
    }
    python = machine.python("peft_python", None)
    return [Command("training", (python, "-P", str(SCRIPT), *options_text(values)), None, env=_ENVIRONMENT)]
