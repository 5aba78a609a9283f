"""Input files of a job: fetched, checked for their media types, and uploaded to the server."""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.graph import Graph, set_input
from callsheet.comfyui.workflows import InputKind
from callsheet.domain.errors import BadParams, Problem
from callsheet.files.content_sniffing import sniff_media_type
from callsheet.files.media_types import guess_media_type, suffix_for
from callsheet.operation_api.contract import Context
from callsheet.operations.comfyui.prepare import GraphFile
from callsheet.operations.media_inputs import RequiredMedia, read_media

_NEEDS: Mapping[InputKind, RequiredMedia] = {"image": "image", "video": "video", "audio": "audio"}


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
    if file.path is not None:
        return file.path
    if file.kind == "file":
        return await job.fetch_input(file.source)
    media = await read_media(job, file.source, file.param, _NEEDS[file.kind])
    if file.kind == "image" and not media.still:
        raise BadParams([Problem(file.param, "not_an_image", f"'{media.path.name}' is a video, not an image")])
    return media.path


async def upload_files(
    client: ComfyUIClient, graph: Graph, files: Iterable[GraphFile], paths: Mapping[str, Path]
) -> list[str]:
    """Upload the files, set their names on the server in the graph, and return these names."""
    names = []
    for file in files:
        path = paths[file.param]
        name = await client.upload(path, await _upload_name(path))
        names.append(name)
        for field in file.fields:
            set_input(graph, field, name)
    return names


async def _upload_name(path: Path) -> str:
    """Return a name derived from the contents, so that the server stores equal files once."""
    return await asyncio.to_thread(_name_by_contents, path)


def _name_by_contents(path: Path) -> str:
    """Return the digest, and the suffix of the type that the contents have, whatever the file was called."""
    sniffed = sniff_media_type(path)
    given = path.suffix.lower()
    suffix = given if sniffed is None or guess_media_type(path.name) == sniffed else suffix_for(sniffed)
    return _sha256(path)[:32] + (suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else "")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
