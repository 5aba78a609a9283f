"""The workflow of an `upscale` job on ComfyUI servers, with the job's params set in it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.operations.comfyui.prepare import PreparedGraph, prepare_graph
from callsheet.settings import Settings


def prepare_upscale(
    workflow: str,
    inputs: Mapping[str, Any],
    src: MediaSource,
    model: str | None,
    settings: Settings,
    prefix: str = "",
) -> PreparedGraph:
    """Set the inputs of the workflow, whose video is a placeholder. Raises BadParams with every problem.

    `prefix` is where the params are, for problems.
    """
    given = {**inputs, "video": src.root}
    if model is not None:
        given["model"] = model
    names = {"inputs.video": f"{prefix}src", "inputs.model": f"{prefix}model"}
    try:
        prepared = prepare_graph(workflow, None, given, {}, settings)
    except BadParams as error:
        raise BadParams(
            [Problem(names.get(each.path, f"{prefix}{each.path}"), each.code, each.message) for each in error.problems]
        ) from None
    fields = {field: names.get(param, f"{prefix}{param}") for field, param in prepared.params_by_field.items()}
    return replace(prepared, params_by_field=fields)
