"""Commands of a training, as argument lists."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """One process of a training."""

    label: str
    """What it does, for progress messages."""
    argv: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str] = field(default_factory=dict)
    """Additional environment variables."""
    weight: float = 1.0
    """Its share of the work, relative to the other commands."""
    first_step: int = 0
    """Steps that earlier runs have done, and that its progress bar does not count."""
    counts_all_steps: bool = True
    """Whether the total of its progress bar includes the steps of earlier runs."""

    @property
    def preview(self) -> str:
        """The command as it can be typed into a shell."""
        return shlex.join([*(f"{name}={value}" for name, value in self.env.items()), *self.argv])


def preview_of(commands: Sequence[Command]) -> str:
    """Return all commands, one per line."""
    return "\n".join(command.preview for command in commands)


def options_text(options: Mapping[str, str | int | float | bool | None]) -> list[str]:
    """Return options as arguments: `True` is an option without a value; None and False are left out."""
    argv: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        argv.append(f"--{name}")
        if value is not True:
            argv.append(f"{value:g}" if isinstance(value, float) else str(value))
    return argv
