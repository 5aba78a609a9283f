"""Params of `comfyui`, validated against the stored workflows, and against what is known about the servers' nodes."""

from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationInfo, model_validator
from pydantic.config import JsonDict

from callsheet.comfyui.graph import find_field, unwrap_prompt
from callsheet.domain.durations import Duration
from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.references import has_reference
from callsheet.domain.validation_problems import validation_error
from callsheet.operations.comfyui.prepare import PreparedGraph, prepare_graph
from callsheet.settings import Settings

_EXAMPLE: JsonDict = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "empty"}},
}
_TWO_GRAPHS = "give the graph as `workflow` or as `graph`, not both"


class NamedImage(Model):
    """An image that the graph loads by its name."""

    name: str = Field(description="The name in the node, as in `LoadImage`", examples=["face.png"])
    image: MediaSource


class ComfyUIParams(Model):
    """A workflow and its inputs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"graph": _EXAMPLE}]})

    workflow: str | dict[str, Any] | None = Field(
        None,
        description="Name of a stored workflow (`callsheet comfyui list` shows them); an object is taken as `graph`",
        examples=["infinite-talk"],
    )
    graph: dict[str, Any] | None = Field(
        None,
        description="Complete graph in API format, or in the format of the editor; or, where "
        "COMFYUI_VIDEO_WORKFLOW_JSON is set, only the changes to that graph",
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
    images: list[NamedImage] = Field(
        default_factory=list, description="Images under the names by which nodes of the graph load them"
    )
    tags: list[str] = Field(default_factory=list, description="Tags that the server must have")
    server: str | None = Field(None, description="Name of the only server to use")
    time_limit: Duration | None = Field(
        None, description="Timeout of the prompt; default: CALLSHEET_COMFYUI_PROMPT_TIMEOUT, or the job's timeout"
    )
    unique_names: bool = Field(
        True,
        description="Save files under names for this job only, so that a cached prompt does not return files of "
        "another job",
    )
    previews: bool = Field(False, description="Store the files of preview nodes even if other nodes saved files")
    patient: bool = Field(
        True,
        description="Wait for servers that do not respond, and retry later; otherwise the job fails at once, so that "
        "another provider can be used",
    )

    @model_validator(mode="after")
    def _workflow_to_graph(self) -> Self:
        if isinstance(self.workflow, dict):
            if self.graph is not None:
                raise validation_error([Problem("graph", "conflicting_fields", _TWO_GRAPHS)], "comfyui")
            self.workflow, self.graph = None, self.workflow
        return self

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        # Without settings nothing is checked here: the operation prepares the graph with the settings of its worker.
        if isinstance(info.context, Settings) and (problems := self._problems(info.context)):
            raise validation_error(problems, "comfyui", knows_references=True)
        return self

    def _problems(self, settings: Settings) -> list[Problem]:
        try:
            self.prepare(settings)
        except BadParams as error:
            return [problem for problem in error.problems if not has_reference(self._value_at(problem.path))]
        except ConfigurationError as error:
            return [Problem("workflow", "invalid_workflow", error.message)]
        return []

    def _value_at(self, path: str) -> Any:
        """Return the value that a problem is about; a reference in it may solve the problem."""
        group, _, rest = path.partition(".")
        if group == "workflow":
            return self.workflow
        if group.startswith("images["):
            return [image.name for image in self.images]
        if group in ("inputs", "files"):
            return {**self.files, **self.inputs}.get(rest)
        graph = unwrap_prompt(self.graph)
        if group != "graph" or not isinstance(graph, dict) or rest in graph:
            return graph.get(rest) if isinstance(graph, dict) else None
        found = find_field(graph, rest)
        node = graph[found[0]] if found else None
        inputs = node.get("inputs") if isinstance(node, dict) else None
        return inputs.get(found[1]) if found and isinstance(inputs, dict) else node

    def prepare(self, settings: Settings) -> PreparedGraph:
        """Return the graph with the inputs. See `prepare_graph`."""
        images = [(image.name, image.image) for image in self.images]
        workflow = self.workflow if isinstance(self.workflow, str) else None
        return prepare_graph(workflow, self.graph, self.inputs, self.files, settings, images)
