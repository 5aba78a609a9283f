"""The result of a `comfyui` job: downloads the output files and stores them as artifacts."""

from functools import partial
from pathlib import Path

from pydantic import Field

from callsheet.comfyui.graph import plain_name
from callsheet.comfyui.outputs import OutputFile, prompt_outputs
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadOutput, ProviderFailed
from callsheet.domain.model import Model
from callsheet.files.object_keys import safe_name
from callsheet.operation_api.contract import Context
from callsheet.operations.comfyui.prompt_run import RUN_SHARE, PromptResult
from callsheet.operations.fetched_outputs import fetch_output
from callsheet.operations.output_kinds import ExpectedOutput


class ComfyUIFile(Model):
    """An output file with its origin."""

    node: str = Field(description="Id of the node that created it", examples=["9"])
    kind: str = Field(description="`image`, `video`, `audio` or `other`", examples=["video"])
    file: Artifact


class ComfyUIResult(Model):
    """Outputs of the workflow."""

    images: list[Artifact]
    videos: list[Artifact]
    audio: list[Artifact]
    others: list[Artifact] = Field(description="Latents, 3D models…")
    texts: dict[str, str] = Field(description="Texts shown by nodes, by node id")
    files: list[ComfyUIFile] = Field(description="All files, in the order of their nodes")
    server: str = Field(description="Name of the server that ran it", examples=["127.0.0.1:8188"])
    prompt_id: str


async def collect_outputs(job: Context, result: PromptResult, *, previews: bool) -> ComfyUIResult:
    """Download and store the output files of a prompt. Files of preview nodes are included with `previews`, or when
    there are no others.

    Raises ProviderFailed when there is no output or a file is damaged, BadOutput when a page came in place of a file,
    OutputExpired when a file was deleted.
    """
    outputs = prompt_outputs(result.entry)
    wanted = select_files(outputs.files, previews=previews)
    if not wanted and not outputs.texts:
        raise ProviderFailed(
            "The workflow succeeded without an output: its nodes save files on the server only, or were blocked.",
            code="no_output",
        )
    files = [await _store(job, result, file, number, len(wanted)) for number, file in enumerate(wanted)]
    return ComfyUIResult(
        images=[each.file for each in files if each.kind == "image"],
        videos=[each.file for each in files if each.kind == "video"],
        audio=[each.file for each in files if each.kind == "audio"],
        others=[each.file for each in files if each.kind == "other"],
        texts=dict(outputs.texts),
        files=files,
        server=result.server,
        prompt_id=result.prompt_id,
    )


def select_files(files: tuple[OutputFile, ...], *, previews: bool) -> list[OutputFile]:
    """Return the saved files; with `previews`, or if there are no others, also those of preview nodes."""
    saved = [file for file in files if file.type != "temp"]
    return list(files) if previews or not saved else saved


async def _store(job: Context, result: PromptResult, file: OutputFile, number: int, total: int) -> ComfyUIFile:
    # Files of different folders may have the same name.
    target = job.dir / f"output-{number}" / safe_name(plain_name(file.filename, result.prompt_id))
    target.parent.mkdir(exist_ok=True)
    await download_output(job, result, file, target)
    artifact = await job.keep(target)
    job.progress(RUN_SHARE + (1 - RUN_SHARE) * (number + 1) / total, f"{number + 1} of {total} files downloaded")
    kind = artifact.media_type.partition("/")[0]
    return ComfyUIFile(node=file.node, kind=kind if kind in {"image", "video", "audio"} else "other", file=artifact)


async def download_output(job: Context, result: PromptResult, file: OutputFile, target: Path) -> None:
    """Download an output file to `target`.

    Raises ProviderFailed when it is damaged, BadOutput when a page came in its place, OutputExpired when it was
    deleted.
    """
    expected = ExpectedOutput(f"ComfyUI ({result.server}, node {file.node})", target.name)
    try:
        await fetch_output(job, partial(result.client.download, file, target), target, expected)
    except BadOutput as error:
        if not error.facts["damaged"]:
            # A page of a proxy came in place of the file, which the server still has.
            raise
        # The file on the server is wrong. The failure is final, so that a manual retry runs the prompt again.
        raise ProviderFailed(error.message, code=error.code, node=file.node, found=error.facts["found"]) from None
