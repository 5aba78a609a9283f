"""Fetching of a job's input files, with a check of their media types."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from callsheet.comfyui.workflows import InputKind
from callsheet.domain.errors import BadParams, Problem
from callsheet.operation.contract import Context
from callsheet.operations.comfyui.prepare import GraphFile
from callsheet.operations.media_inputs import Need, read_media

_NEEDS: Mapping[InputKind, Need] = {"image": "picture", "video": "video", "audio": "sound"}


async def fetch_files(job: Context, files: Iterable[GraphFile]) -> dict[str, Path]:
    """Fetch the files, and return their paths by parameter. Raises BadParams with every file of a wrong type."""
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            paths[file.param] = await _fetch(job, file)
        except BadParams as error:
            problems += error.problems
    if problems:
        raise BadParams(problems)
    return paths


async def _fetch(job: Context, file: GraphFile) -> Path:
    if file.kind == "file":
        return await job.fetch_input(file.source)
    media = await read_media(job, file.source, file.param, _NEEDS[file.kind])
    if file.kind == "image" and not media.still:
        raise BadParams([Problem(file.param, "not_an_image", f"'{media.path.name}' is a video, not an image")])
    return media.path
