"""Results of finished runs whose files the storage did not take; the next run of the job here stores them."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from callsheet.domain.artifacts import Artifact
from callsheet.files.file_locks import shared_lock
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.files.temporary_files import FINISHED, FINISHED_RESULT

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
    """Finished results in a scratch space. They survive the worker, and expire after `max_age`; 0: none are kept.

    Until a result is complete, its files are in the folder of the process. The clean-up of temporary files removes
    expired results.
    """

    def __init__(self, scratch_space: Path, *, max_age: timedelta) -> None:
        self._space = scratch_space
        self._folder = scratch_space / FINISHED
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
        (run / FINISHED_RESULT).write_bytes(orjson.dumps(content))
        self._folder.mkdir(exist_ok=True)
        shutil.rmtree(finished, ignore_errors=True)
        run.rename(finished)

    @contextmanager
    def open(self, job: UUID, inputs: str) -> Iterator[FinishedResult | None]:
        """Yield the finished result of a job with these inputs; None if there is none, or it has expired.

        Its files stay while the block runs.
        """
        folder = self._folder / str(job)
        with ExitStack() as locks:
            try:
                locks.enter_context(shared_lock(folder / FINISHED_RESULT))
            except (FileNotFoundError, BlockingIOError):  # a clean-up removes it
                yield None
                return
            yield self._load(folder, inputs)

    def _load(self, folder: Path, inputs: str) -> FinishedResult | None:
        try:
            content = orjson.loads((folder / FINISHED_RESULT).read_bytes())
        except FileNotFoundError:  # it was removed before it was locked
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

    def _of_run(self, job: UUID, epoch: int) -> Path:
        return own_scratch_folder(self._space) / f"{job}.{epoch}"

    def _is_expired(self, folder: Path) -> bool:
        return time.time() - folder.stat().st_mtime > self._max_age


def digest_inputs(operation: str, params: dict[str, Any]) -> str:
    """Return a digest of everything that the result of a job depends on."""
    return hashlib.sha256(orjson.dumps([operation, params], option=orjson.OPT_SORT_KEYS)).hexdigest()
