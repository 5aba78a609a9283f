"""Submission of a `generate` job: to the first provider that accepts it, and to one only."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callsheet.domain.errors import (
    BadParams,
    ConfigurationError,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.domain.media_source import MediaSource
from callsheet.files.content_sniffing import sniff_media_type
from callsheet.files.media_types import guess_media_type
from callsheet.operation_api.contract import Context, OpenSubmission
from callsheet.operations.generate_params import GenerateParams
from callsheet.operations.generate_price import price_of
from callsheet.providers.contract import InputFile, Provider, SubmitRequest, Task
from callsheet.providers.model_inputs import to_provider_inputs, validate_inputs
from callsheet.providers.model_records import LOCAL_COMFYUI, GenerativeModel, Makes, Offer
from callsheet.providers.registry import read_registry


@dataclass(frozen=True, slots=True)
class SubmittedTask:
    """A task with the provider's name of its model."""

    model: str
    task: Task


async def load_model(job: Context, params: GenerateParams) -> GenerativeModel:
    """Return the model from the registry of this worker. Raises BadParams when the params do not fit it."""
    registry = await asyncio.to_thread(read_registry, job.settings.models_file)
    problems = registry.problems(params.model_id, params.given_inputs(), params.provider)
    if problems:
        raise BadParams(params.locate(problems))
    return registry[params.model_id]


async def kind_of_output(job: Context, params: GenerateParams) -> Makes | None:
    """Return what the model makes. None if the registry no longer has it: its task was paid for all the same."""
    try:
        registry = await asyncio.to_thread(read_registry, job.settings.models_file)
    except ConfigurationError:
        return None
    model = registry.get(params.model_id)
    return None if model is None else model.makes


async def submit_to_first(job: Context, params: GenerateParams, model: GenerativeModel) -> SubmittedTask:
    """Submit to the first provider that accepts. The next one is tried only when one has certainly not accepted.

    All providers share one submission step, so that a later run finds the task whichever provider has it.
    SubmissionUnknown is not caught: the provider may have accepted, and another submission might be paid twice.
    """
    reasons: list[str] = []
    transient: list[ProviderRateLimited | ProviderUnreachable] = []
    for offer in model.offers_by(params.provider):
        if offer.provider == LOCAL_COMFYUI:
            continue
        if problems := validate_inputs(offer, params.given_inputs()):
            reasons.append(f"{offer.provider}: {'; '.join(map(repr, problems))}")
            continue
        try:
            return await submit(job, params, offer)
        except (SubmissionRejected, ConfigurationError) as error:
            reason = error.message
        except (ProviderRateLimited, ProviderUnreachable) as error:
            transient.append(error)
            reason = error.message
        reasons.append(f"{offer.provider}: {reason}")
        job.log("not accepted", provider=offer.provider, model=offer.model, reason=reason)
    if transient:
        raise max(transient, key=lambda error: error.retry_after or 0)
    raise SubmissionRejected(f"No provider accepted {model.id}. {' '.join(reasons)}", reasons=reasons)


async def resume_submission(
    job: Context, params: GenerateParams, model: GenerativeModel, earlier: OpenSubmission
) -> SubmittedTask:
    """Find the task of an earlier submission whose response was lost.

    The same request is submitted again in the same step, which looks the task up instead of sending it twice.
    """
    for offer in model.offers:
        if (offer.provider, offer.model) == (earlier.provider, earlier.model):
            return await submit(job, params, offer)
    raise SubmissionUnknown(
        f"{earlier.model} was submitted to {earlier.provider}, and it is not known whether it was accepted. The model "
        f"{model.id} no longer has this offer, so the task cannot be looked up. Check with the provider, and retry "
        "with resubmit to submit it again.",
        provider=earlier.provider,
        model=earlier.model,
    )


async def submit(job: Context, params: GenerateParams, offer: Offer) -> SubmittedTask:
    """Submit to one provider, at most once in the life of the job."""
    provider = _provider(job, offer)
    webhook = job.webhook_url(provider) if (params.waiting or offer.waiting) == "webhook" else None
    inputs = await _provider_inputs(job, offer, params)
    price = await asyncio.to_thread(price_of, offer, params.given_inputs(), job.settings.prices_file)
    request = SubmitRequest(
        offer.model,
        inputs,
        version=offer.version,
        webhook=webhook,
        price=None if price is None else float(price),
    )
    task = await job.submit_once(provider, request)
    return SubmittedTask(offer.model, task)


def _provider(job: Context, offer: Offer) -> Provider:
    try:
        return job.providers[offer.provider]
    except KeyError:
        known = ", ".join(job.providers)
        raise ConfigurationError(f"there is no provider '{offer.provider}'; known providers: {known}") from None


async def _provider_inputs(job: Context, offer: Offer, params: GenerateParams) -> Mapping[str, Any]:
    """Return the inputs by the provider's names, with files in place of media sources."""
    given = params.given_inputs()
    for name, parameter in offer.parameters.items():
        if parameter.kind == "file" and name in given:
            given[name] = await _input_file(job, given[name])
        elif parameter.kind == "files" and name in given:
            given[name] = [await _input_file(job, each) for each in given[name]]
    return to_provider_inputs(offer, given)


async def _input_file(job: Context, value: Any) -> InputFile:
    """Fetch an input file. The provider gets its public URL, if there is one, or else its contents."""
    source = MediaSource.model_validate(value)
    path = await job.fetch_input(source)
    media_type = await asyncio.to_thread(sniff_media_type, path) or guess_media_type(path.name)
    return InputFile(path, media_type, await job.public_url(source))
