"""Work that our own ComfyUI servers do, as long as not too many jobs wait for them."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from callsheet.domain.errors import ProviderFailed
from callsheet.operation.contract import ChildJob, Context, RunChildJobs
from callsheet.operations.comfyui.operation import comfyui as comfyui_operation
from callsheet.operations.comfyui.results import ComfyUIResult

_SUB_JOB = "at-home"


async def run_locally(job: Context, workflow: str, inputs: Mapping[str, Any], *, alone: bool) -> ComfyUIResult | None:
    """Return what a stored workflow made of the inputs; None when others are to be asked.

    It runs as a job of its own before this one (RunChildJobs), in the queue of ComfyUI. `alone`: there is nobody else, so
    that it waits however long the queue is. Raises ProviderFailed when it failed and there is nobody else.
    """
    if job.children_done:
        return await _result(job, alone=alone)
    if not alone and (reason := await _no_room(job)) is not None:
        job.log(f"not made at home: {reason}")
        return None
    given = {name: _plain(value) for name, value in inputs.items()}
    params = {"workflow": workflow, "inputs": given, "patient": alone}
    raise RunChildJobs([ChildJob(_SUB_JOB, comfyui_operation.name, params)])


async def _no_room(job: Context) -> str | None:
    """Say why a job would not have its turn at home soon; None when it would."""
    queue, most = comfyui_operation.queue, job.settings.local_queue_limit
    if not await job.has_live_worker(comfyui_operation.name, queue):
        return f"no worker takes jobs from the queue {queue} now"
    waiting = await job.queue_depth(queue)
    return f"{waiting} jobs wait in the queue {queue}, and {most} are too many" if waiting >= most else None


async def _result(job: Context, *, alone: bool) -> ComfyUIResult | None:
    result = (await job.child_results()).get(_SUB_JOB)
    if result is not None:
        return ComfyUIResult.model_validate(result)
    if alone:
        raise ProviderFailed(f"Our own servers could not make it; the job {job.job_id}/{_SUB_JOB} tells why.")
    job.log("failed at home", job=f"{job.job_id}/{_SUB_JOB}")
    return None


def _plain(value: Any) -> Any:
    """Return an input as it is written in JSON."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value
