"""The mapping `video-generation`: a ComfyUI workflow, then the final format.

The fields of the body are merged into the graph of COMFYUI_VIDEO_WORKFLOW_JSON:

- `{{caption}}` in an input of a node is replaced by the field; so are `{{script}}`, `{{persona}}`, `{{context}}`,
  `{{duration}}` and every other field of the body;
- a node whose title is the name of a field gets the field as its text or value;
- `workflow` in the body holds changes of nodes, which are merged field by field.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from callsheet.comfyui.graph import merge_graphs
from callsheet.comfyui.workflows import default_graph
from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import all_problems
from callsheet.intake.mappings import Payload, PlanData, as_text, fill_placeholders
from callsheet.intake.published_files import publish_entry

_INPUTS_BY_PREFERENCE = ("text", "value", "string", "prompt", "text_positive", "int", "float", "number")
"""Inputs of a titled node that can receive a field."""


class VideoGenerationData(Model):
    """The body of a `video-generation` job."""

    model_config = ConfigDict(extra="allow")

    caption: str = Field(min_length=1, max_length=20_000)
    script: str = Field(min_length=1, max_length=200_000)
    persona: Any = None
    context: Any = None
    duration: float | None = Field(None, gt=0, le=3600, description="Seconds")
    workflow: dict[str, Any] | None = Field(None, description="Changes of nodes of the workflow")


def video_generation(payload: Payload) -> PlanData:
    """Return the plan: `clip` runs the workflow, `final` brings its video to the format of FFMPEG_*."""
    body = _read(payload.data)
    graph = default_graph(payload.settings)
    if graph is None:
        raise ConfigurationError(
            "COMFYUI_VIDEO_WORKFLOW_JSON is not set. `video-generation` needs a workflow: set it to a graph in API "
            "format, or to the path of one."
        )
    jobs = [
        {"id": "clip", "operation": "comfyui", "params": {"graph": _changes(graph, body)}},
        {"id": "final", "operation": "finish", "params": {"video": "${clip.videos[0]}"}},
    ]
    published = publish_entry("final", "video", f"{payload.source}/{payload.product_id}/final.mp4")
    return {
        "executionPlan": {"name": f"{payload.source} {payload.product_id}", "jobs": jobs},
        "metadata": {"publish": [published]},
    }


def _read(data: Mapping[str, Any]) -> VideoGenerationData:
    # Some producers wrap the fields: {"jobId": …, "payload": {…}}.
    inner = data.get("payload")
    fields = dict(inner) if isinstance(inner, Mapping) else dict(data)
    if "duration" not in fields and "durationSec" in fields:
        fields["duration"] = fields.pop("durationSec")
    try:
        return VideoGenerationData.model_validate(fields)
    except ValidationError as error:
        raise BadParams(all_problems(error, VideoGenerationData, fields)) from None


def _changes(graph: Mapping[str, Any], body: VideoGenerationData) -> dict[str, Any]:
    given = body.model_dump(by_alias=True, exclude={"workflow"})
    merged = merge_graphs(dict(graph), body.workflow or {})
    changes: dict[str, Any] = dict(body.workflow or {})
    placed = False
    for node, fields in merged.items():
        if not isinstance(fields, dict):
            continue
        inputs = fields.get("inputs") or {}
        filled, _ = fill_placeholders(inputs, given)
        title = str((fields.get("_meta") or {}).get("title", "")).strip().lower()
        if title in given and given[title] is not None:
            filled = _fill_titled(filled, given[title])
        if filled != inputs:
            placed = True
            changes[node] = {**changes.get(node, {}), "inputs": filled}
    if not placed and not body.workflow:
        raise BadParams(
            [
                Problem(
                    "caption",
                    "no_place",
                    "the workflow has no place for any field: write {{caption}} in an input of a node, or give a node "
                    "the title `caption`",
                )
            ]
        )
    return changes


def _fill_titled(inputs: dict[str, Any], value: Any) -> dict[str, Any]:
    for name in _INPUTS_BY_PREFERENCE:
        # A list is a link to another node.
        if name in inputs and not isinstance(inputs[name], list):
            number = isinstance(inputs[name], int | float) and isinstance(value, int | float)
            return {**inputs, name: value if number else as_text(value)}
    return inputs
