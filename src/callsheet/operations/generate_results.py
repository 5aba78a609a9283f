"""Result of `generate`: downloads the outputs of a task, checks them, and stores them as artifacts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import ProviderFailed
from callsheet.domain.model import Model
from callsheet.files.content_sniffing import sniff_media_type
from callsheet.files.media_types import guess_media_type, suffix_for
from callsheet.files.object_keys import safe_name
from callsheet.operation_api.contract import Context
from callsheet.operations.fetched_outputs import fetch_output
from callsheet.operations.generate_submission import SubmittedTask
from callsheet.operations.output_kinds import ExpectedOutput, check_kinds
from callsheet.providers.contract import Output, Provider
from callsheet.providers.model_records import Makes

_TASK_SHARE = 0.9
"""The part of the job's progress that is the task; the rest is the download of the files."""


class GenerateResult(Model):
    """Outputs of the model."""

    videos: list[Artifact] = Field(default_factory=list)
    images: list[Artifact] = Field(default_factory=list)
    audios: list[Artifact] = Field(default_factory=list)
    files: list[Artifact] = Field(description="All outputs, in the provider's order")
    provider: str
    model: str = Field(description="The provider's name of the model")
    provider_job_id: str
    cost: float | None = Field(None, description="US dollars, if the provider reports it")
    seconds: float | None = Field(None, description="Processing time of the provider, if it reports it")


async def collect_result(job: Context, submitted: SubmittedTask, makes: Makes | None) -> GenerateResult:
    """Wait for a task, and store its outputs. `makes` is the kind of output of the model; None if it is not known.

    Raises ProviderFailed when the task fails, or succeeds without outputs, and BadOutput for a file that is not what
    the model makes.
    """
    task = submitted.task
    status = await job.wait_for_result(task)
    if not status.outputs:
        raise ProviderFailed(f"{task.provider} reports success without any file.", providerJobId=task.id)
    files = await _store(job, await _fetch(job, job.providers[task.provider], status.outputs, makes))
    return GenerateResult(
        videos=_of_type(files, "video/"),
        images=_of_type(files, "image/"),
        audios=_of_type(files, "audio/"),
        files=files,
        provider=task.provider,
        model=submitted.model,
        provider_job_id=task.id,
        cost=status.cost,
        seconds=status.seconds,
    )


@dataclass(frozen=True, slots=True)
class _Fetched:
    path: Path
    output: Output
    number: int


async def _fetch(job: Context, provider: Provider, outputs: Sequence[Output], makes: Makes | None) -> list[_Fetched]:
    """Download and check all outputs. None is stored before all of them are right."""
    fetched: list[_Fetched] = []
    kinds: frozenset[str] = frozenset()
    for number, output in enumerate(outputs):
        target = job.dir / f"output-{number + 1}"
        expected = _expected(provider, output, number, makes)
        download = partial(provider.fetch, output, target)
        kinds |= await fetch_output(job, download, target, expected, can_change=output.inline is None)
        fetched.append(_Fetched(target, output, number))
        job.progress(_TASK_SHARE + (1 - _TASK_SHARE) * (number + 1) / len(outputs))
    names = ", ".join(_expected(provider, each.output, each.number, makes).name for each in fetched)
    check_kinds(kinds, ExpectedOutput(provider.name, "the output of the model", makes=makes), f"only {names}")
    return fetched


def _expected(provider: Provider, output: Output, number: int, makes: Makes | None) -> ExpectedOutput:
    name = _provider_name(output) or f"output-{number + 1}"
    return ExpectedOutput(provider.name, safe_name(name), output.media_type, makes)


async def _store(job: Context, fetched: Sequence[_Fetched]) -> list[Artifact]:
    files: list[Artifact] = []
    for each in fetched:
        media_type = await asyncio.to_thread(_media_type, each.path, each.output)
        name = file_name(each.output, each.number, media_type)
        files.append(await job.keep(each.path, name=name, media_type=media_type))
    return files


def _media_type(path: Path, output: Output) -> str:
    """Return the media type found in the contents, else the one that the provider reports."""
    return sniff_media_type(path) or output.media_type or guess_media_type(_provider_name(output))


def file_name(output: Output, number: int, media_type: str) -> str:
    """Return the provider's file name, with an extension that matches the media type."""
    given = PurePosixPath(_provider_name(output) or f"output-{number + 1}")
    return given.name if guess_media_type(given.name) == media_type else given.stem + suffix_for(media_type)


def _provider_name(output: Output) -> str:
    name = output.name or (unquote(urlsplit(output.url).path) if output.url else "")
    return PurePosixPath(name).name


def _of_type(files: list[Artifact], prefix: str) -> list[Artifact]:
    return [file for file in files if file.media_type.startswith(prefix)]
