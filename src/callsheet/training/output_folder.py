"""The folder of a training: its record, its lock, and the states that a later run can resume from."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from callsheet.domain.errors import BadParams, ConfigurationError, Problem, Transient
from callsheet.settings import Settings

_RECORD = "callsheet-training.json"
_STATE = re.compile(r"-(?:step)?([0-9]{6,8})-state$")
_BUSY_DELAY = 60.0
"""Seconds until the next attempt while another job trains into the folder."""


@dataclass(frozen=True, slots=True)
class State:
    """A state of the trainer that a later run can resume from."""

    path: Path
    number: int
    """Epochs or steps that were done, as its name says."""
    in_steps: bool


@dataclass(slots=True)
class TrainingRecord:
    """What a training folder contains."""

    digest: str
    """Of everything that determines the training."""
    job: str
    """Id of the job record that last trained here."""
    finished: bool = False
    runs: list[dict[str, Any]] = field(default_factory=list)
    """For each run: the name of its files, and the epochs and steps before it."""
    stored: dict[str, Any] = field(default_factory=dict)
    """Files that are artifacts of the job already, by name."""


def output_root(settings: Settings) -> Path:
    """Return the folder of all trainings."""
    return (settings.training_output or settings.data_dir / "training").expanduser().absolute()


def output_path(settings: Settings, given: str | None, name: str) -> Path:
    """Return the folder of a training: `<given>/<name>`, where `given` must be inside the folder of all trainings.

    Raises BadParams.
    """
    root = output_root(settings).resolve()
    try:
        parent = (root / (given or "")).resolve()
    except (OSError, ValueError):
        parent = Path("/")
    if not parent.is_relative_to(root):
        message = f"'{(given or '')[:200]}' is outside the folder of trainings (CALLSHEET_TRAINING_OUTPUT)"
        raise BadParams([Problem("outputDir", "bad_value", message)])
    return parent / name


class TrainingFolder:
    """A training folder that is locked by this process."""

    def __init__(self, path: Path, record: TrainingRecord, *, resumes: bool) -> None:
        self.path = path
        self.record = record
        self.resumes = resumes
        """Whether it contains an unfinished training with the same digest."""

    def save(self) -> None:
        """Write the record."""
        part = self.path / f"{_RECORD}.part"
        part.write_text(json.dumps(asdict(self.record)), "utf-8")
        part.replace(self.path / _RECORD)

    def states(self, name: str) -> list[State]:
        """Return the states of a run whose files have this name, the newest last."""
        found = []
        for path in self.path.glob(f"{name}-*-state"):
            match = _STATE.search(path.name)
            if match and path.name[: match.start()] == name and path.is_dir():
                found.append(State(path, int(match[1]), "-step" in path.name[match.start() :]))
        return sorted(found, key=lambda state: state.path.stat().st_mtime)


@contextmanager
def open_folder(path: Path, digest: str, job: UUID, *, resume: bool) -> Iterator[TrainingFolder]:
    """Lock a training folder while the block runs; create it if it is missing.

    An unfinished training with the same digest is continued with `resume`. Any other content is moved to
    `<name>.earlier-1`. Raises Transient while another job trains into it, and ConfigurationError if it cannot be
    written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigurationError(f"The folder {path.parent} cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Transient(f"Another job trains into {path}.", retry_after=_BUSY_DELAY) from None
        yield _prepare(path, digest, str(job), resume)
    finally:
        os.close(lock)


def _prepare(path: Path, digest: str, job: str, resume: bool) -> TrainingFolder:
    record = _read_record(path)
    same = record is not None and record.digest == digest
    if record is not None and same and (record.job == job or (resume and not record.finished)):
        if record.job != job:
            record.job, record.stored = job, {}
        return TrainingFolder(path, record, resumes=True)
    if path.exists() and any(path.iterdir()):
        path.rename(_free_path(path))
    path.mkdir(exist_ok=True)
    folder = TrainingFolder(path, TrainingRecord(digest, job), resumes=False)
    folder.save()
    return folder


def _read_record(path: Path) -> TrainingRecord | None:
    try:
        return TrainingRecord(**json.loads((path / _RECORD).read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def _free_path(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.earlier-{number}")).exists():
        number += 1
    return found
