"""Results of finished runs whose files the storage did not take; the next run of the job here stores them."""

import hashlib
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from callsheet.domain.artifacts import Artifact

_FOLDER = "finished"
_RESULT = "result.json"
_ARTIFACTS: TypeAdapter[list[Artifact]] = TypeAdapter(list[Artifact])


@dataclass(frozen=True, slots=True)
class FinishedResult:
    """The result of a run, and its files."""

    result: str
    """JSON text."""
    artifacts: list[Artifact]
    folder: Path

    def path_of(self, artifact: Artifact) -> Path:
        """Return the path of a file."""
        return self.folder / artifact.name


class FinishedResults:
    """Finished results in a scratch space. They survive the worker, and expire after `max_age`; 0: none are kept."""

    def __init__(self, scratch_space: Path, *, max_age: timedelta) -> None:
        self._folder = scratch_space / _FOLDER
        self._max_age = max_age.total_seconds()

    def add_file(self, job: UUID, epoch: int, name: str, path: Path) -> None:
        """Keep a file of a run, as a hard link. Raises OSError when that is not possible."""
        if not self._max_age:
            raise FileNotFoundError("finished results are not kept")
        folder = self._of_run(job, epoch)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).hardlink_to(path)

    def save(self, job: UUID, epoch: int, inputs: str, result: str, artifacts: list[Artifact]) -> None:
        """Complete the result of a run: its files were added before. `inputs` is the digest of its inputs."""
        run, finished = self._of_run(job, epoch), self._folder / str(job)
        content = {"inputs": inputs, "result": result, "artifacts": _ARTIFACTS.dump_python(artifacts, mode="json")}
        (run / _RESULT).write_bytes(orjson.dumps(content))
        shutil.rmtree(finished, ignore_errors=True)
        run.rename(finished)

    def load(self, job: UUID, inputs: str) -> FinishedResult | None:
        """Return the finished result of a job with these inputs; None if there is none, or it has expired."""
        folder = self._folder / str(job)
        try:
            content = orjson.loads((folder / _RESULT).read_bytes())
        except FileNotFoundError:
            return None
        if content["inputs"] != inputs or self._is_expired(folder):
            return None
        return FinishedResult(content["result"], _ARTIFACTS.validate_python(content["artifacts"]), folder)

    def discard_run(self, job: UUID, epoch: int) -> None:
        """Delete the files of a run that did not finish."""
        shutil.rmtree(self._of_run(job, epoch), ignore_errors=True)

    def discard(self, job: UUID) -> None:
        """Delete the finished result of a job."""
        shutil.rmtree(self._folder / str(job), ignore_errors=True)

    def remove_expired(self) -> None:
        """Delete expired results, and files of runs whose worker was killed."""
        with suppress(FileNotFoundError):
            for folder in self._folder.iterdir():
                if self._is_expired(folder):
                    shutil.rmtree(folder, ignore_errors=True)

    def _of_run(self, job: UUID, epoch: int) -> Path:
        return self._folder / f"{job}.{epoch}"

    def _is_expired(self, folder: Path) -> bool:
        return time.time() - folder.stat().st_mtime > self._max_age


def digest_inputs(operation: str, params: dict[str, Any]) -> str:
    """Return a digest of everything that the result of a job depends on."""
    return hashlib.sha256(orjson.dumps([operation, params], option=orjson.OPT_SORT_KEYS)).hexdigest()
