"""Local-first routing: a model that local ComfyUI servers offer runs there while their queue is short."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from callsheet.domain.errors import BadOutput, BadParams, ProviderFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs
from callsheet.operations.comfyui.operation import comfyui as comfyui_operation
from callsheet.operations.comfyui.params import ComfyUIParams
from callsheet.operations.comfyui.results import ComfyUIResult
from callsheet.operations.generate_params import GenerateParams
from callsheet.operations.generate_results import GenerateResult
from callsheet.providers.model_inputs import to_provider_inputs, validate_inputs
from callsheet.providers.model_records import LOCAL_COMFYUI, GenerativeModel, Makes

_CHILD_ID = "local"
_ANIMATIONS = frozenset({"image/gif", "image/webp"})


async def generate_locally(job: Context, params: GenerateParams, model: GenerativeModel) -> GenerateResult | None:
    """Return the result of the local servers. None when a provider must be used instead: there is no local offer for
    these inputs, the queue is too long, no worker is alive, or the local job failed.
    """
    offers = model.offers_by(params.provider)
    inputs = params.given_inputs()
    local = next((o for o in offers if o.provider == LOCAL_COMFYUI and not validate_inputs(o, inputs)), None)
    if local is None:
        return None
    result = await _run_workflow(job, local.model, to_provider_inputs(local, inputs), only_offer=len(offers) == 1)
    if result is None:
        return None
    if not _makes(result, model.makes):
        raise ProviderFailed(
            f"The workflow {local.model} made no {model.makes}, which the model {model.id} is for.", code=BadOutput.code
        )
    return GenerateResult(
        videos=result.videos,
        images=result.images,
        audios=result.audio,
        files=[each.file for each in result.files],
        provider=LOCAL_COMFYUI,
        model=local.model,
        provider_job_id=result.prompt_id,
    )


def _makes(result: ComfyUIResult, kind: Makes) -> bool:
    """Return whether a workflow made this kind of file."""
    animations = [image for image in result.images if image.media_type in _ANIMATIONS]
    return bool({"video": result.videos or animations, "image": result.images, "audio": result.audio}[kind])


async def _run_workflow(
    job: Context, workflow: str, inputs: Mapping[str, Any], *, only_offer: bool
) -> ComfyUIResult | None:
    """Run a stored workflow as a child job in the ComfyUI queue, and return its result (raises RunChildJobs first).

    With `only_offer` there is no alternative: the job waits however long the queue is, and a failure is final.
    """
    if job.children_done:
        return await _child_result(job, only_offer=only_offer)
    if not only_offer and (reason := await _unavailable(job)) is not None:
        job.log(f"not run on local servers: {reason}")
        return None
    plain = {name: _to_json(value) for name, value in inputs.items()}
    params = {"workflow": workflow, "inputs": plain, "patient": only_offer}
    try:
        await asyncio.to_thread(validate_params, params, ComfyUIParams, job.settings)
    except BadParams as error:
        reason = f"the workflow {workflow} cannot be used: {'; '.join(map(repr, error.problems))}"
        if only_offer:
            raise ProviderFailed(f"T{reason[1:]}", code=error.code) from None
        job.log(f"not run on local servers: {reason}")
        return None
    raise RunChildJobs([ChildJob(_CHILD_ID, comfyui_operation.name, params)])


async def _unavailable(job: Context) -> str | None:
    """Return why a local job would not start soon; None when it would."""
    queue, limit = comfyui_operation.queue, job.settings.local_queue_limit
    if not await job.has_live_worker(comfyui_operation.name, queue):
        return f"no live worker takes jobs from the queue {queue}"
    depth = await job.queue_depth(queue)
    return f"{depth} jobs wait in the queue {queue}; the limit is {limit}" if depth >= limit else None


async def _child_result(job: Context, *, only_offer: bool) -> ComfyUIResult | None:
    result = (await job.child_results()).get(_CHILD_ID)
    if result is not None:
        return ComfyUIResult.model_validate(result)
    child = f"{job.job_id}/{_CHILD_ID}"
    if only_offer:
        raise ProviderFailed(f"The local servers failed; see the job {child} for the reason.")
    job.log("failed on local servers", job=child)
    return None


def _to_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_json(each) for each in value]
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value
