"""The trainers of this machine: their folders, their Python, and the base models."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.settings import Settings
from callsheet.settings.training import BASE_MODELS


@dataclass(slots=True)
class Machine:
    """Finds what a training needs on this machine. Missing things are listed, so that a dry run can name them all."""

    settings: Settings
    missing: list[str] = field(default_factory=list)
    """What is not there, one sentence each."""

    def folder(self, setting: str, script: str) -> Path | None:
        """Return the folder of a trainer; None if the setting is unset or has no such script."""
        found: Path | None = getattr(self.settings, setting)
        if found is None:
            self.missing.append(f"CALLSHEET_{setting.upper()} is not set: the folder with {script}.")
            return None
        folder = found.expanduser().absolute()
        if not (folder / script).is_file():
            self.missing.append(f"There is no {script} in {folder} (CALLSHEET_{setting.upper()}).")
        return folder

    def python(self, setting: str, folder: Path | None) -> str:
        """Return the Python of a trainer: from the settings, else of the environment in its folder, else `python`."""
        chosen: Path | None = getattr(self.settings, setting)
        if chosen is not None:
            if not chosen.expanduser().is_file():
                self.missing.append(f"There is no {chosen} (CALLSHEET_{setting.upper()}).")
            return str(chosen.expanduser().absolute())
        for name in (".venv", "venv") if folder is not None else ():
            assert folder is not None  # noqa: S101 - see above
            if (found := folder / name / "bin" / "python").exists():
                return str(found)
        if folder is not None or setting == "peft_python":
            self.missing.append(f"CALLSHEET_{setting.upper()} is not set: the Python that runs the trainer.")
        return "python"

    def accelerate(self, python: str, script: str) -> list[str]:
        """Return the start of a command that runs a script with `accelerate launch`."""
        return [
            *(python, "-m", "accelerate.commands.launch", "--num_cpu_threads_per_process", "1"),
            *("--mixed_precision", self.settings.training_mixed_precision),
            *shlex.split(self.settings.accelerate_args),
            script,
        ]

    def base_model(self, role: str, given: str | None = None) -> str | None:
        """Return the path of a base model; None if its role is empty.

        `given` is the path of a plan. Raises BadParams if it leads out of the folder of models.
        """
        name = given or self.settings.training_base_models.get(role, BASE_MODELS[role])
        if not name:
            return None
        root = self.settings.training_models
        if root is None:
            self.missing.append(f"CALLSHEET_TRAINING_MODELS is not set: the folder with {name}.")
            return name
        folder = root.expanduser().resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            problem = Problem("baseModel", "bad_value", f"'{name[:200]}' leads out of the folder of models")
            if given is not None:
                raise BadParams([problem])
            raise ConfigurationError(f"CALLSHEET_TRAINING_BASE_MODELS: '{name}' leads out of {folder}.")
        if not path.exists():
            if given is not None and folder.is_dir():
                raise BadParams([Problem("baseModel", "bad_value", f"there is no model '{name[:200]}'")])
            self.missing.append(f"There is no {path}: the model `{role}` (CALLSHEET_TRAINING_BASE_MODELS).")
        return str(path)


def in_folder(folder: Path | None, script: str) -> str:
    """Return the path of a script; its name if the folder is not known."""
    return script if folder is None else str(folder / script)
