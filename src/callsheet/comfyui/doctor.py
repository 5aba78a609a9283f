"""What a workflow needs and a server lacks: node packages, model files, inputs and values, and where they come from."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from callsheet.comfyui.graph import is_editor_format, unwrap_prompt, validate_graph
from callsheet.comfyui.needs import WorkflowNeeds, read_needs
from callsheet.comfyui.node_schemas import Fault, NodeSchema, check_graph, is_model_file
from callsheet.comfyui.workflows import load_workflow, stored_workflows
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.json_text import read_json
from callsheet.settings import Settings

_EDITOR_ONLY = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode", "GetNode", "SetNode"})
"""Nodes that exist in the editor only."""
_NOT_RUN = frozenset({2, 4})
"""Modes of nodes that are muted or bypassed."""
_REPOSITORY = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a server lacks for a workflow."""

    fault: Fault
    package: str | None = None
    """Id of the node package in the registry of ComfyUI."""
    url: str | None = None
    """Repository of the package, or download of the model file."""
    folder: str | None = None
    """Folder of the model file, below `models/` of ComfyUI."""


@dataclass(frozen=True, slots=True)
class ExaminedWorkflow:
    """A workflow in API format or in the format of the editor, and what is known about its needs."""

    name: str
    data: Mapping[str, Any]
    needs: WorkflowNeeds

    @property
    def is_editor_format(self) -> bool:
        """Whether it is in the format of the editor, in which inputs have no names."""
        return is_editor_format(self.data)


def find_workflow(name: str, settings: Settings) -> ExaminedWorkflow:
    """Return a stored workflow by its name, else a file. Raises BadParams for an unknown name, ConfigurationError for
    a file that is no workflow.
    """
    path = stored_workflows(settings).get(name)
    if path is None and not name.lower().endswith(".json"):
        load_workflow(name, settings)
    path = path or Path(name)
    try:
        data = unwrap_prompt(read_json(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except DocumentError as error:
        raise ConfigurationError(f"{path}: {error.located}") from None
    if not is_editor_format(data) and (problems := validate_graph(data, path.name)):
        raise ConfigurationError("\n  ".join([f"{path} is no workflow:", *map(repr, problems)]))
    return ExaminedWorkflow(name, data, read_needs(path))


def examine(workflow: ExaminedWorkflow, schemas: Mapping[str, NodeSchema]) -> list[Finding]:
    """Return everything that a server with these nodes lacks for the workflow.

    In the format of the editor, values have no names: only node classes and model files are checked.
    """
    if workflow.is_editor_format:
        return list(_examine_editor_format(workflow, schemas))
    return [_locate(fault, workflow.needs) for fault in check_graph(dict(workflow.data), schemas)]


def _locate(fault: Fault, needs: WorkflowNeeds) -> Finding:
    """Add where a missing thing comes from."""
    if fault.kind == "missing_model":
        model = needs.model(fault.value)
        return Finding(fault) if model is None else Finding(fault, url=model.url, folder=model.folder)
    package = needs.package_of(fault.class_type)
    known = None if package is None else needs.packages.get(package)
    return Finding(fault, package=package, url=None if known is None else known.repository)


def _examine_editor_format(workflow: ExaminedWorkflow, schemas: Mapping[str, NodeSchema]) -> Iterator[Finding]:
    missing: dict[str, Finding] = {}
    for node in _editor_nodes(workflow.data):
        class_type, number = str(node.get("type")), str(node.get("id"))
        if class_type in schemas:
            yield from _missing_files(node, number, class_type, schemas[class_type], workflow.needs)
        elif class_type in missing:
            found = missing[class_type]
            missing[class_type] = replace(found, fault=replace(found.fault, node=f"{found.fault.node}, {number}"))
        else:
            fault = Fault("missing_node", number, class_type, None, None, "the server has no such node")
            missing[class_type] = _with_package(_locate(fault, workflow.needs), _properties(node))
    yield from missing.values()


def _editor_nodes(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes that run, also those inside subgraphs."""
    definitions = data.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    groups = [data, *(group for group in subgraphs or () if isinstance(group, Mapping))]
    ids = {str(group.get("id")) for group in groups[1:]}
    for group in groups:
        for node in group.get("nodes") or ():
            runs = isinstance(node, Mapping) and node.get("mode") not in _NOT_RUN
            if runs and str(node.get("type")) not in _EDITOR_ONLY | ids:
                yield node


def _properties(node: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = node.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _with_package(finding: Finding, properties: Mapping[str, Any]) -> Finding:
    """Add the package that the editor has noted: `cnr_id` is its id in the registry, `aux_id` its place on GitHub."""
    registered, place = properties.get("cnr_id"), properties.get("aux_id")
    package = finding.package or (registered if isinstance(registered, str) else None)
    url = finding.url
    if url is None and isinstance(place, str) and _REPOSITORY.fullmatch(place):
        url = f"https://github.com/{place}"
    return replace(finding, package=package, url=url)


def _missing_files(
    node: Mapping[str, Any], number: str, class_type: str, schema: NodeSchema, needs: WorkflowNeeds
) -> Iterator[Finding]:
    widgets = node.get("widgets_values")
    values = widgets.values() if isinstance(widgets, Mapping) else widgets if isinstance(widgets, list) else ()
    available = {option for spec in schema.inputs.values() for option in spec.options or () if isinstance(option, str)}
    for value in values:
        if is_model_file(value) and value not in available:
            fault = Fault("missing_model", number, class_type, None, value, "the server has no such model file")
            yield _with_download(_locate(fault, needs), _properties(node))


def _with_download(finding: Finding, properties: Mapping[str, Any]) -> Finding:
    """Add the download that the editor has noted in `models`."""
    models = properties.get("models")
    for model in models if isinstance(models, list) else ():
        if isinstance(model, Mapping) and model.get("name") == finding.fault.value:
            url, folder = model.get("url"), model.get("directory")
            return replace(
                finding,
                url=finding.url or (url if isinstance(url, str) else None),
                folder=finding.folder or (folder if isinstance(folder, str) else None),
            )
    return finding
