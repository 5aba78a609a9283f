"""One run of a LoRA training: what its commands are made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.training.dataset_files import Subset
from callsheet.training.options import LoraOptions


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a run continues."""

    state: Path
    """Folder with the state of the trainer."""
    epochs: int
    """Epochs that earlier runs have done."""
    steps: int
    """Steps that earlier runs have done."""


@dataclass(frozen=True, slots=True)
class LoraRun:
    """The facts of one run."""

    name: str
    """Name of the training."""
    folder: Path
    """Folder of its files."""
    options: LoraOptions
    subsets: tuple[Subset, ...]
    steps_per_epoch: int
    resume: Resume | None = None

    @property
    def config_path(self) -> Path:
        """Path of the dataset configuration."""
        return self.folder / "dataset.json"

    @property
    def prompts_path(self) -> Path:
        """Path of the prompts of samples."""
        return self.folder / "prompts.json"

    def prompts(self) -> list[dict[str, Any]]:
        """Return the prompts of samples. As JSON, nothing in them is read as an option."""
        side, seed = self.options.side, self.options.seed
        return [
            {"prompt": prompt, "width": side, "height": side, "seed": seed} for prompt in self.options.sample_prompts
        ]

    @property
    def checkpoint_epochs(self) -> int | None:
        """Epochs between two checkpoints; None if they are counted in steps."""
        return None if self.options.save_every_steps is not None else self.options.save_every_epochs or 1
