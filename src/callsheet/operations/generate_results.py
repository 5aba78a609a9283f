"""Result of `generate`: downloads the outputs of a task and stores them as artifacts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import ProviderFailed
from callsheet.domain.model import Model
from callsheet.files.content_sniffing import sniff_media_type
from callsheet.files.media_types import guess_media_type, suffix_for
from callsheet.operation_api.contract import Context
from callsheet.operations.generate_submission import SubmittedTask
from callsheet.providers.contract import Output, Provider

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


async def collect_result(job: Context, submitted: SubmittedTask) -> GenerateResult:
    """Wait for a task, and store its outputs. Raises ProviderFailed when it fails, or succeeds without outputs."""
    task = submitted.task
    status = await job.wait_for_result(task)
    if not status.outputs:
        raise ProviderFailed(f"{task.provider} reports success without any file.", providerJobId=task.id)
    files = await _store(job, job.providers[task.provider], status.outputs)
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


async def _store(job: Context, provider: Provider, outputs: Sequence[Output]) -> list[Artifact]:
    files: list[Artifact] = []
    for number, output in enumerate(outputs):
        path = await provider.fetch(output, job.dir / f"output-{number + 1}")
        media_type = await asyncio.to_thread(_media_type, path, output)
        files.append(await job.keep(path, name=file_name(output, number, media_type), media_type=media_type))
        job.progress(_TASK_SHARE + (1 - _TASK_SHARE) * (number + 1) / len(outputs))
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
