"""ComfyUI: a workflow run on a server of ours, its files brought here."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from callsheet.comfyui.outputs import OutputFile, prompt_outputs
from callsheet.comfyui.pool import ServerRequirements, pool_of
from callsheet.comfyui.workflows import InputKind
from callsheet.domain.artifacts import Artifact
from callsheet.domain.durations import Duration
from callsheet.domain.errors import BadParams, Problem, ProviderFailed, ProviderUnreachable
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.files.object_keys import safe_name
from callsheet.operation.contract import Context, operation
from callsheet.operations.comfyui.prepare import GivenFile, PreparedGraph, prepare_graph
from callsheet.operations.comfyui.prompt_run import PromptResult, PromptRun
from callsheet.operations.media_inputs import Need, read_media
from callsheet.settings import Settings

_NEEDS: Mapping[InputKind, Need] = {"image": "picture", "video": "video", "audio": "sound"}
_SERVER_SHARE = 0.95


class ComfyUIParams(Model):
    """A workflow with what goes into it."""

    workflow: str | None = Field(
        None, description="Name of a stored workflow (`callsheet comfyui list` shows them)", examples=["infinite-talk"]
    )
    graph: dict[str, Any] | None = Field(
        None,
        description="A whole graph in API format; or, where COMFYUI_VIDEO_WORKFLOW_JSON is set, only what is to "
        "be otherwise in that one",
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="Of a stored workflow by its own names, of a graph as `node.input`. Files are media sources",
        examples=[{"prompt": "a lighthouse at dusk", "seed": 7}],
    )
    files: dict[str, MediaSource] = Field(
        default_factory=dict,
        description="Files that are brought to the server, by the same names: `10.image` gets the name it has there",
    )
    tags: list[str] = Field(default_factory=list, description="That the server must have")
    server: str | None = Field(None, description="Only this server, by its name")
    time_limit: Duration | None = Field(None, description="That the prompt may take; unset: as long as the job may")
    unique_names: bool = Field(
        True,
        description="Save files under a name of this job's own, so that no cached answer names another job's files",
    )
    previews: bool = Field(False, description="Bring what preview nodes made even if other nodes saved files")
    patient: bool = Field(
        True,
        description="Wait for servers that do not answer, and try again later; if not, the job fails at once, so that "
        "somebody else can be asked",
    )


class ComfyUIFile(Model):
    """A file with where it comes from."""

    node: str = Field(description="Id of the node that made it", examples=["9"])
    kind: str = Field(description="`image`, `video`, `audio` or `other`", examples=["video"])
    file: Artifact


class ComfyUIResult(Model):
    """What the workflow made."""

    images: list[Artifact]
    videos: list[Artifact]
    audio: list[Artifact]
    others: list[Artifact] = Field(description="Latents, 3D models…")
    texts: dict[str, str] = Field(description="What nodes showed as text, by their ids")
    files: list[ComfyUIFile] = Field(description="All of them, in the order of their nodes")
    server: str = Field(description="That ran it, by its name", examples=["127.0.0.1:8188"])
    prompt_id: str


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
    """Run a ComfyUI workflow, and bring everything that it makes."""
    drafted = prepare_graph(params.workflow, params.graph, params.inputs, params.files, job.settings)

    async def bring() -> dict[str, Path]:
        return await _checked(job, drafted)

    async def collect(ended: PromptResult) -> ComfyUIResult:
        return await _collected(job, ended, previews=params.previews)

    wish = ServerRequirements(
        frozenset(params.tags) | drafted.tags, params.server, drafted.workflow, patient=params.patient
    )
    limit = _limit(params, job.settings)
    errand = PromptRun(job, pool_of(job.settings), drafted, wish, bring, names_apart=params.unique_names, limit=limit)
    try:
        return await errand.run(collect)
    except ProviderUnreachable as error:
        if params.patient:
            raise
        raise ProviderFailed(error.message, code=error.code) from None


def _limit(params: ComfyUIParams, settings: Settings) -> float | None:
    if params.time_limit is not None:
        return params.time_limit.total_seconds()
    if settings.comfyui_max_poll_attempts is None:
        return None
    return settings.comfyui_max_poll_attempts * settings.comfyui_poll_interval_ms / 1000


async def _checked(job: Context, drafted: PreparedGraph) -> dict[str, Path]:
    """Bring the files here and look at what they are; raises BadParams with all that do not fit."""
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    for given in drafted.files:
        try:
            paths[given.param] = await _looked_at(job, given)
        except BadParams as error:
            problems += error.problems
    if problems:
        raise BadParams(problems)
    return paths


async def _looked_at(job: Context, given: GivenFile) -> Path:
    if given.kind == "file":
        return await job.fetch_input(given.source)
    found = await read_media(job, given.source, given.param, _NEEDS[given.kind])
    if given.kind == "image" and not found.still:
        raise BadParams([Problem(given.param, "not_an_image", f"this is a video, not an image: '{found.path.name}'")])
    return found.path


async def _collected(job: Context, ended: PromptResult, *, previews: bool) -> ComfyUIResult:
    made = prompt_outputs(ended.entry)
    wanted = _wanted(made.files, previews=previews)
    if not wanted and not made.texts:
        raise ProviderFailed("The workflow ended well and made no file: a node closed every branch.", code="no_output")
    files = [await _kept(job, ended, file, number, len(wanted)) for number, file in enumerate(wanted)]
    return ComfyUIResult(
        images=[each.file for each in files if each.kind == "image"],
        videos=[each.file for each in files if each.kind == "video"],
        audio=[each.file for each in files if each.kind == "audio"],
        others=[each.file for each in files if each.kind == "other"],
        texts=dict(made.texts),
        files=files,
        server=ended.server,
        prompt_id=ended.prompt_id,
    )


def _wanted(files: tuple[OutputFile, ...], *, previews: bool) -> list[OutputFile]:
    saved = [file for file in files if file.type != "temp"]
    return list(files) if previews or not saved else saved


async def _kept(job: Context, ended: PromptResult, file: OutputFile, number: int, of: int) -> ComfyUIFile:
    target = job.dir / f"output-{number}" / safe_name(file.filename)
    target.parent.mkdir(exist_ok=True)
    await ended.comfy.download(file, target)
    if target.stat().st_size == 0:
        raise ProviderFailed(f"The file {file.filename} of node {file.node} is empty.", code="empty_file")
    artifact = await job.keep(target)
    job.progress(_SERVER_SHARE + (1 - _SERVER_SHARE) * (number + 1) / of, f"{number + 1} of {of} files are here")
    kind = artifact.media_type.partition("/")[0]
    return ComfyUIFile(node=file.node, kind=kind if kind in {"image", "video", "audio"} else "other", file=artifact)
