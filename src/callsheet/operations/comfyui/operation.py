"""The `comfyui` operation: runs a workflow on a ComfyUI server of the worker, and stores its outputs."""

import asyncio
from datetime import timedelta

from callsheet.comfyui.pool import ServerRequirements
from callsheet.domain.errors import BadOutput, ProviderFailed, ProviderUnreachable
from callsheet.domain.queues import COMFYUI_QUEUE
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.comfyui.params import ComfyUIParams
from callsheet.operations.comfyui.prompt_run import PromptRun
from callsheet.operations.comfyui.results import ComfyUIResult, collect_outputs


@operation(
    "comfyui",
    queue=COMFYUI_QUEUE,
    timeout=timedelta(hours=24),
    attempts=5,
    needs={"ffmpeg"},  # to read media inputs
    on_worker_lost="resume",
    aliases=("comfyui-workflow",),
    blocking_validation=True,  # stored workflows are files
)
async def comfyui(job: Context, params: ComfyUIParams) -> ComfyUIResult:
    """Run a ComfyUI workflow, and store all its outputs."""
    prepared = await asyncio.to_thread(params.prepare, job.settings)
    requirements = ServerRequirements(
        tags=frozenset(params.tags) | prepared.tags,
        name=params.server,
        workflow=prepared.workflow,
        wait_for_servers=params.patient,
    )
    timeout = params.time_limit or job.settings.comfyui_prompt_timeout
    seconds = None if timeout is None else timeout.total_seconds()
    try:
        async with PromptRun(job, prepared, requirements, unique_names=params.unique_names, timeout=seconds) as run:
            return await collect_outputs(job, await run.run(), previews=params.previews)
    except (ProviderUnreachable, BadOutput) as error:
        if params.patient:
            raise
        # Transient errors are retried; ProviderFailed is final.
        raise ProviderFailed(error.message, code=error.code) from None
