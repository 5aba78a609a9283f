"""Generate: a model makes videos, pictures or sounds of a prompt."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, model_validator
from pydantic.alias_generators import to_camel

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import (
    BadParams,
    ConfigurationError,
    Problem,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.plan_validation import validation_error
from callsheet.files.content_sniffing import sniff_media_type
from callsheet.files.media_types import guess_media_type, suffix_for
from callsheet.operation.contract import Context, OpenSubmission, operation
from callsheet.operations.local_first import run_locally
from callsheet.providers.contract import InputFile, Output, Provider, SubmitRequest, Task
from callsheet.providers.model_inputs import to_provider_inputs, validate_inputs
from callsheet.providers.model_records import LOCAL_COMFYUI, GenerativeModel, Offer
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings

_NOT_INPUTS = frozenset({"model_id", "inputs", "provider", "waiting"})
_FETCHED = 0.9
"""Of the progress: from here on the files are brought here."""


class GenerateParams(Model):
    """What to ask of which model. Each model takes its own inputs: `callsheet models show` lists them."""

    model_id: str = Field(
        validation_alias=AliasChoices("modelId", "model_id", "model"),
        description="Id of the model, or an alias",
        examples=["bytedance/seedance-1-pro"],
    )
    prompt: str | None = Field(None, description="What is to be seen or heard")
    negative_prompt: str | None = Field(None, description="What is not")
    image: MediaSource | None = Field(None, description="The first picture, or one to go by")
    last_image: MediaSource | None = Field(None, description="The last picture")
    duration: float | None = Field(None, description="Seconds")
    aspect_ratio: str | None = Field(None, examples=["9:16"])
    resolution: str | None = Field(None, examples=["720p"])
    seed: int | None = Field(None, description="The same one gives much the same again, where the model minds it")
    inputs: dict[str, Any] = Field(default_factory=dict, description="Whatever else the model takes, by name")
    provider: str | None = Field(None, description="Ask this one alone", examples=["replicate"])
    waiting: Literal["webhook", "polling"] | None = Field(
        None, description="How its end is learned of; unset: as suits the model"
    )

    @model_validator(mode="after")
    def _model_takes_it(self) -> "GenerateParams":
        found = read_registry(_file_of_models()).problems(self.model_id, self.given(), self.provider)
        if found:
            raise validation_error([self._placed(problem) for problem in found], "generate")
        return self

    def given(self) -> dict[str, Any]:
        """Return the inputs that are set, by the names that the registry has for them."""
        named = {to_camel(name): getattr(self, name) for name in type(self).model_fields if name not in _NOT_INPUTS}
        given = {name: _whole(value) for name, value in named.items() if value is not None}
        return given | self.inputs

    def _placed(self, problem: Problem) -> Problem:
        fields = {to_camel(name) for name in type(self).model_fields}
        inside = problem.path in self.inputs or problem.path not in fields
        return Problem(f"inputs.{problem.path}" if inside else problem.path, problem.code, problem.message)


class GenerateResult(Model):
    """What was made."""

    videos: list[Artifact] = Field(default_factory=list)
    images: list[Artifact] = Field(default_factory=list)
    audios: list[Artifact] = Field(default_factory=list)
    files: list[Artifact] = Field(description="All of it, in the provider's order")
    provider: str
    model: str = Field(description="By the provider's own name")
    provider_job_id: str
    cost: float | None = Field(None, description="US dollars, where the provider tells")
    seconds: float | None = Field(None, description="That the provider worked on it, where it tells")


@operation(
    "generate",
    queue="generate",
    timeout=timedelta(minutes=30),
    # Most of them are spent on providers that are busy.
    attempts=10,
    on_worker_lost="resume",
    aliases=("pipeline:generate",),
)
async def generate(job: Context, params: GenerateParams) -> GenerateResult:
    """Have a model make videos, pictures or sounds; an order is sent once, and its files are fetched and kept."""
    earlier = await job.open_submission()
    if earlier is None and (made := await _made_at_home(job, params)) is not None:
        return made
    model, task = await _taken(job, params, earlier)
    look = await job.wait_for_result(task)
    if not look.outputs:
        raise ProviderFailed(f"{task.provider} says that it succeeded, and names no file.", providerJobId=task.id)
    files = await _kept(job, job.providers[task.provider], look.outputs)
    return GenerateResult(
        videos=_of_kind(files, "video/"),
        images=_of_kind(files, "image/"),
        audios=_of_kind(files, "audio/"),
        files=files,
        provider=task.provider,
        model=model,
        provider_job_id=task.id,
        cost=look.cost,
        seconds=look.seconds,
    )


async def _made_at_home(job: Context, params: GenerateParams) -> GenerateResult | None:
    """Return what our own servers made; None where they have no such workflow, no room, or failed."""
    offers = _model(job, params).offers_by(params.provider)
    home = next((o for o in offers if o.provider == LOCAL_COMFYUI and not validate_inputs(o, params.given())), None)
    if home is None:
        return None
    made = await run_locally(job, home.model, to_provider_inputs(home, params.given()), alone=len(offers) == 1)
    if made is None:
        return None
    return GenerateResult(
        videos=made.videos,
        images=made.images,
        audios=made.audio,
        files=[each.file for each in made.files],
        provider=LOCAL_COMFYUI,
        model=home.model,
        provider_job_id=made.prompt_id,
    )


# Ordering


async def _taken(job: Context, params: GenerateParams, earlier: OpenSubmission | None) -> tuple[str, Task]:
    """Return the model by its provider's name, and the task, which may be one of an earlier run."""
    if earlier is not None and earlier.task is not None:
        return earlier.model, earlier.task
    model = _model(job, params)
    if earlier is None:
        return await _order(job, params, model)
    for offer in model.offers:
        if (offer.provider, offer.model) == (earlier.provider, earlier.model):
            return offer.model, await _order_of(job, params, offer)
    raise SubmissionUnknown(
        f"{earlier.model} was ordered of {earlier.provider}, whether it was taken is not known, and {model.id} is not "
        "offered so any more. Look there, and retry with resubmit to order anew.",
        provider=earlier.provider,
        model=earlier.model,
    )


def _model(job: Context, params: GenerateParams) -> GenerativeModel:
    """Return the model as this worker knows it."""
    registry = read_registry(job.settings.models_file)
    problems = registry.problems(params.model_id, params.given(), params.provider)
    if problems:
        raise BadParams(problems)
    return registry[params.model_id]


async def _order(job: Context, params: GenerateParams, model: GenerativeModel) -> tuple[str, Task]:
    """Order of the first provider that takes it; another one is asked only when it is certain that one did not.

    The step is the same for all, so that a later run finds the order, whoever took it.
    """
    reasons: list[str] = []
    passing: list[ProviderRateLimited | ProviderUnreachable] = []
    for offer in model.offers_by(params.provider):
        if offer.provider == LOCAL_COMFYUI:
            continue
        if wrong := validate_inputs(offer, params.given()):
            reasons.append(f"{offer.provider}: {'; '.join(map(repr, wrong))}")
            continue
        try:
            return offer.model, await _order_of(job, params, offer)
        except (SubmissionRejected, ConfigurationError) as error:
            reason = error.message
        except (ProviderRateLimited, ProviderUnreachable) as error:
            passing.append(error)
            reason = error.message
        reasons.append(f"{offer.provider}: {reason}")
        job.log("not ordered", provider=offer.provider, model=offer.model, reason=reason)
    if passing:
        raise max(passing, key=lambda error: error.retry_after or 0)
    raise SubmissionRejected(f"Nobody took the order of {model.id}. {' '.join(reasons)}", reasons=reasons)


async def _order_of(job: Context, params: GenerateParams, offer: Offer) -> Task:
    provider = _provider(job, offer)
    webhook = job.webhook_url(provider) if (params.waiting or offer.waiting) == "webhook" else None
    inputs = await _inputs(job, offer, params)
    return await job.submit_once(provider, SubmitRequest(offer.model, inputs, version=offer.version, webhook=webhook))


def _provider(job: Context, offer: Offer) -> Provider:
    try:
        return job.providers[offer.provider]
    except KeyError:
        known = ", ".join(job.providers)
        raise ConfigurationError(f"there is no provider '{offer.provider}' here; known: {known}") from None


async def _inputs(job: Context, offer: Offer, params: GenerateParams) -> Mapping[str, Any]:
    """Return what goes into the order, with files in the place of media sources."""
    given = params.given()
    for name, parameter in offer.parameters.items():
        if parameter.kind == "file" and name in given:
            given[name] = await _file(job, given[name])
        elif parameter.kind == "files" and name in given:
            given[name] = [await _file(job, each) for each in given[name]]
    return to_provider_inputs(offer, given)


async def _file(job: Context, value: Any) -> InputFile:
    """Open an input file: it goes into the order by an address of it, or as it is."""
    source = MediaSource.model_validate(value)
    path = await job.fetch_input(source)
    media_type = await asyncio.to_thread(sniff_media_type, path) or guess_media_type(path.name)
    return InputFile(path, media_type, await job.public_url(source))


# Fetching


async def _kept(job: Context, provider: Provider, outputs: Sequence[Output]) -> list[Artifact]:
    files: list[Artifact] = []
    for number, output in enumerate(outputs):
        path = await provider.fetch(output, job.dir / f"output-{number + 1}")
        media_type = await asyncio.to_thread(_media_type, path, output)
        files.append(await job.keep(path, name=_name(output, number, media_type), media_type=media_type))
        job.progress(_FETCHED + (1 - _FETCHED) * (number + 1) / len(outputs))
    return files


def _media_type(path: Path, output: Output) -> str:
    """Return what a file is: by its bytes, else by what the provider calls it."""
    return sniff_media_type(path) or output.media_type or guess_media_type(_given_name(output))


def _name(output: Output, number: int, media_type: str) -> str:
    """Return the name that the provider has for it, with an extension that is true."""
    given = PurePosixPath(_given_name(output) or f"output-{number + 1}")
    return given.name if guess_media_type(given.name) == media_type else given.stem + suffix_for(media_type)


def _given_name(output: Output) -> str:
    named = output.name or (unquote(urlsplit(output.url).path) if output.url else "")
    return PurePosixPath(named).name


def _of_kind(files: list[Artifact], kind: str) -> list[Artifact]:
    return [file for file in files if file.media_type.startswith(kind)]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def _file_of_models() -> Path | None:
    return Settings().models_file
