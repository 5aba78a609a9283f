"""What a stored workflow needs on a server: node packages and model files, with the places where they come from.

`talk.needs.yaml` beside `talk.json`:

    packages:
      ComfyUI-WanVideoWrapper: {repository: "https://github.com/kijai/ComfyUI-WanVideoWrapper"}
    nodes:
      WanVideoSampler: {package: ComfyUI-WanVideoWrapper}
    models:
      - {file: vae.safetensors, folder: vae, url: "https://example.com/vae.safetensors"}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_problems
from callsheet.domain.yaml_text import read_yaml


class NodePackage(Model):
    """A package of custom nodes, by its id in the registry of ComfyUI."""

    repository: str | None = None
    version: str | None = Field(None, description="The version whose nodes are described here")
    commit: str | None = Field(None, description="The commit whose nodes are described here")


class NeededNode(Model):
    """A node class. All fields except `package` are written as in `GET /object_info`."""

    model_config = ConfigDict(extra="forbid")

    package: str | None = Field(None, description="None: a node of ComfyUI itself")
    input: dict[str, dict[str, Any]] = Field(default_factory=dict)
    output: list[str] = Field(default_factory=list)
    output_node: bool = Field(False, alias="output_node")


class NeededModel(Model):
    """A model file."""

    file: str
    folder: str | None = Field(None, description="Folder below `models/` of ComfyUI")
    url: str | None = None


class WorkflowNeeds(Model):
    """Contents of the `.needs.yaml` file of a workflow."""

    packages: dict[str, NodePackage] = Field(default_factory=dict)
    nodes: dict[str, NeededNode] = Field(default_factory=dict)
    models: list[NeededModel] = Field(default_factory=list)

    def package_of(self, class_type: str) -> str | None:
        """Return the id of the package of a node class; None if it is unknown."""
        node = self.nodes.get(class_type)
        return None if node is None else node.package

    def model(self, value: Any) -> NeededModel | None:
        """Return a model file by the value of the input that names it, which may contain folders."""
        name = str(value).replace("\\", "/").rpartition("/")[2]
        return next((model for model in self.models if model.file.rpartition("/")[2] == name), None)

    def object_info(self) -> Mapping[str, Any]:
        """Return the described nodes as in `GET /object_info`."""
        return {
            name: {"input": node.input, "output": node.output, "output_node": node.output_node}
            for name, node in self.nodes.items()
        }


def read_needs(graph_path: Path) -> WorkflowNeeds:
    """Read the needs of a workflow; empty without a file. Raises ConfigurationError with every problem."""
    path = graph_path.with_name(f"{graph_path.stem}.needs.yaml")
    if not path.is_file():
        return WorkflowNeeds()
    try:
        return WorkflowNeeds.model_validate(read_yaml(path.read_bytes()) or {})
    except DocumentError as error:
        raise ConfigurationError(f"{path}: {error.located}") from None
    except ValidationError as error:
        problems = "\n  ".join(repr(problem) for problem in validation_problems(error, WorkflowNeeds))
        raise ConfigurationError(f"{path} is invalid:\n  {problems}") from None
