"""The `comfyui` operation: runs a workflow on a ComfyUI server of the worker, and stores its outputs."""

from datetime import timedelta
from typing import Any

from pydantic import Field

from callsheet.comfyui.pool import ServerRequirements
from callsheet.domain.durations import Duration
from callsheet.domain.errors import BadOutput, ProviderFailed, ProviderUnreachable
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.comfyui.prepare import prepare_graph
from callsheet.operations.comfyui.prompt_run import PromptRun
from callsheet.operations.comfyui.results import ComfyUIResult, collect_outputs


class ComfyUIParams(Model):
    """A workflow and its inputs."""

    workflow: str | None = Field(
        None, description="Name of a stored workflow (`callsheet comfyui list` shows them)", examples=["infinite-talk"]
    )
    graph: dict[str, Any] | None = Field(
        None,
        description="Complete graph in API format; or, where COMFYUI_VIDEO_WORKFLOW_JSON is set, only the changes to "
        "that graph",
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="Inputs of a stored workflow by name; of a graph as `node.input`. Files are media sources",
        examples=[{"prompt": "a lighthouse at dusk", "seed": 7}],
    )
    files: dict[str, MediaSource] = Field(
        default_factory=dict,
        description="Files to upload, under the same names: `10.image` is set to the file's name on the server",
    )
    tags: list[str] = Field(default_factory=list, description="Tags that the server must have")
    server: str | None = Field(None, description="Name of the only server to use")
    time_limit: Duration | None = Field(
        None, description="Timeout of the prompt; default: CALLSHEET_COMFYUI_PROMPT_TIMEOUT, or the job's timeout"
    )
    unique_names: bool = Field(
        True,
        description="Save files in a folder for this job only, so that a cached prompt does not return files of "
        "another job",
    )
    previews: bool = Field(False, description="Store the files of preview nodes even if other nodes saved files")
    patient: bool = Field(
        True,
        description="Wait for servers that do not respond, and retry later; otherwise the job fails at once, so that "
        "another provider can be used",
    )


@operation(
    "comfyui",
    queue="comfyui",
    timeout=timedelta(hours=24),
    attempts=5,
    needs={"ffmpeg"},  # to read media inputs
    on_worker_lost="resume",
    aliases=("comfyui-workflow",),
)
async def comfyui(job: Context, params: ComfyUIParams) -> ComfyUIResult:
    """Run a ComfyUI workflow, and store all its outputs."""
    prepared = prepare_graph(params.workflow, params.graph, params.inputs, params.files, job.settings)
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
