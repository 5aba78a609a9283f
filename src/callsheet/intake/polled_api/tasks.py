"""The tasks of a polled API, and the plans that they become."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import ConfigDict, Field, ValidationError

from callsheet.comfyui.graph import unwrap_prompt
from callsheet.domain.errors import BadParams
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import all_problems
from callsheet.intake.mappings import Payload, PlanData, PlanMapping, require_object
from callsheet.settings import Settings

CALLBACK_PATH = "/api/i2v-webhook/"
_LOADER = "LoadImage"


class ImageToVideoTask(Model):
    """A task: a workflow, and the image that it animates."""

    model_config = ConfigDict(extra="allow")

    workflow: dict[str, Any] = Field(min_length=1, description="Graph in the API format of ComfyUI")
    original_image_url: str | None = Field(None, alias="original_image_url", min_length=1)
    prompt: str | None = None
    files: dict[str, str] | None = Field(None, description="Further files: field of the graph → URL, from Callsheet")


def image_to_video(payload: Payload) -> PlanData:
    """Return the plan of a task: its workflow on ComfyUI, with the image in every node that names `<id>.png`.

    If no node names it, the image goes to the only LoadImage node.
    """
    try:
        task = ImageToVideoTask.model_validate(payload.data)
    except ValidationError as error:
        raise BadParams(all_problems(error, ImageToVideoTask, payload.data), "The task is invalid") from None
    graph = unwrap_prompt(task.workflow)
    params: dict[str, Any] = {"graph": graph}
    if task.files is not None:
        params["files"] = task.files
    elif task.original_image_url is not None:
        params["files"] = dict.fromkeys(_image_fields(graph, payload.message_id), task.original_image_url)
    return {
        "name": f"task {payload.message_id}"[:200],
        "jobs": [{"id": "video", "operation": "comfyui", "params": params}],
    }


def plan_of_task(payload: Payload) -> PlanData:
    """Return the plan or submission in the field `plan`."""
    return require_object(payload.data.get("plan"))


MAPPINGS: Mapping[str, PlanMapping] = {"image-to-video": image_to_video, "plan": plan_of_task}
"""Built-in mappings of a task to a plan."""


def task_id(body: Any) -> str | None:
    """Return the id of a task; None if it has none."""
    found = body.get("id") if isinstance(body, Mapping) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) and found != "" else None


def callback_url(body: Any, settings: Settings) -> str | None:
    """Return the URL that receives the result: that of the task, or else the standard route of the API."""
    given = body.get("callback_url") if isinstance(body, Mapping) else None
    if isinstance(given, str) and given.startswith(("http://", "https://")):
        return given
    identity = task_id(body)
    return None if identity is None else f"{base_url(settings)}{CALLBACK_PATH}{quote(identity, safe='')}"


def lease_url(body: Any) -> str | None:
    """Return the URL that renews the lease of a task, if the API has such leases."""
    lease = body.get("lease") if isinstance(body, Mapping) else None
    found = lease.get("url") if isinstance(lease, Mapping) else None
    return found if isinstance(found, str) else None


def base_url(settings: Settings) -> str:
    """Return the URL of the API, without a slash at the end."""
    return settings.polled_api_url.rstrip("/")


def _image_fields(graph: Any, identity: str) -> list[str]:
    named = list(_fields_with(graph, f"{identity}.png"))
    loaders = [f"{node}.image" for node, fields in _nodes(graph) if fields.get("class_type") == _LOADER]
    return named or (loaders if len(loaders) == 1 else [])


def _fields_with(graph: Any, name: str) -> Iterator[str]:
    for node, fields in _nodes(graph):
        inputs = fields.get("inputs")
        for field, value in inputs.items() if isinstance(inputs, Mapping) else ():
            if isinstance(value, str) and value.removesuffix(" [input]") == name:
                yield f"{node}.{field}"


def _nodes(graph: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for node, fields in graph.items() if isinstance(graph, Mapping) else ():
        if isinstance(fields, Mapping):
            yield node, fields
