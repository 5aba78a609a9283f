"""The shipped workflows, and the check of a workflow against a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from callsheet.comfyui.doctor import ExaminedWorkflow, examine, find_workflow
from callsheet.comfyui.graph import find_field
from callsheet.comfyui.needs import WorkflowNeeds, read_needs
from callsheet.comfyui.node_schemas import check_graph, is_model_file, read_schemas
from callsheet.comfyui.workflows import read_workflow
from callsheet.domain.errors import BadParams, ConfigurationError
from callsheet.fakes.comfyui import FakeComfyUI
from callsheet.settings import Settings

TEMPLATES = Path(__file__).parents[3] / "src/callsheet/comfyui/templates"
NAMES = ["f5-tts", "infinite-talk", "upscale"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, comfyui_workflows=TEMPLATES)


def kinds(name: str, changes: dict[str, Any], settings: Settings) -> list[tuple[str, str, str | None]]:
    """Examine a template with changed inputs, given as `node.input`."""
    found = find_workflow(name, settings)
    graph = json.loads(json.dumps(found.data))
    for path, value in changes.items():
        node, field = path.split(".")
        graph[node]["inputs"][field] = value
    schemas = read_schemas(found.needs.object_info())
    findings = examine(ExaminedWorkflow(name, graph, found.needs), schemas)
    return [(finding.fault.kind, finding.fault.class_type, finding.fault.input) for finding in findings]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_workflow_fits_the_recorded_nodes(name):
    path = TEMPLATES / f"{name}.json"
    workflow, needs = read_workflow(path), read_needs(path)

    assert check_graph(workflow.graph, read_schemas(needs.object_info())) == []
    assert {fields["class_type"] for fields in workflow.graph.values()} == needs.nodes.keys()
    assert {node.package for node in needs.nodes.values()} - {None} == needs.packages.keys()
    assert all(package.repository.startswith("https://github.com/") for package in needs.packages.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_model_file_of_a_shipped_workflow_has_its_source(name):
    path = TEMPLATES / f"{name}.json"
    values = [value for fields in read_workflow(path).graph.values() for value in fields["inputs"].values()]
    needs = read_needs(path)

    assert {value for value in values if is_model_file(value)} == {model.file for model in needs.models}
    assert all(model.url.endswith(f"/{model.file}") and model.folder for model in needs.models)


@pytest.mark.parametrize("name", NAMES)
def test_the_inputs_of_a_shipped_workflow_are_inputs_of_its_nodes(name):
    path = TEMPLATES / f"{name}.json"
    workflow, schemas = read_workflow(path), read_schemas(read_needs(path).object_info())

    for spec in workflow.description.inputs.values():
        for field in spec.to:
            node, input_name = find_field(workflow.graph, field)
            schema = schemas[workflow.graph[node]["class_type"]].inputs[input_name]
            if spec.type in ("integer", "number"):
                assert schema.type in ("INT", "FLOAT")
                assert schema.min is None or spec.min >= schema.min
                assert schema.max is None or spec.max <= schema.max


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_with_everything_lacks_nothing(name, server: FakeComfyUI, settings):
    from callsheet.comfyui.client import ComfyUIClient

    async with ComfyUIClient(server.url) as client:
        info = await client.object_info()

    assert examine(find_workflow(name, settings), read_schemas(info)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"14.model_name": "other.safetensors"}, ("missing_model", "WanVideoVAELoader", "model_name")),
        ({"22.scheduler": "fast"}, ("wrong_value", "WanVideoSampler", "scheduler")),
        ({"22.stepps": 4}, ("unknown_input", "WanVideoSampler", "stepps")),
        ({"22.cfg": 31}, ("wrong_value", "WanVideoSampler", "cfg")),
        ({"22.steps": "six"}, ("wrong_value", "WanVideoSampler", "steps")),
        ({"22.steps": True}, ("wrong_value", "WanVideoSampler", "steps")),
        ({"22.model": ["14", 0]}, ("wrong_value", "WanVideoSampler", "model")),
        ({"22.model": ["13", 3]}, ("wrong_value", "WanVideoSampler", "model")),
    ],
)
def test_wrong_inputs_are_found(changes, expected, settings):
    assert kinds("infinite-talk", changes, settings) == [expected]


def test_a_missing_input_and_a_missing_class_are_found_with_their_source(settings):
    found = find_workflow("infinite-talk", settings)
    info = {name: node for name, node in found.needs.object_info().items() if name != "WanVideoSampler"}
    graph = json.loads(json.dumps(found.data))
    del graph["21"]["inputs"]["vae"]

    missing, incomplete = examine(ExaminedWorkflow("w", graph, found.needs), read_schemas(info))

    assert (missing.fault.kind, missing.fault.node, missing.package) == (
        "missing_node",
        "22",
        "ComfyUI-WanVideoWrapper",
    )
    assert missing.url == "https://github.com/kijai/ComfyUI-WanVideoWrapper"
    assert (incomplete.fault.kind, incomplete.fault.input) == ("missing_input", "vae")


def test_a_missing_model_has_its_folder_and_download(settings):
    found = find_workflow("infinite-talk", settings)
    info = json.loads(json.dumps(found.needs.object_info()))
    info["WanVideoVAELoader"]["input"]["required"]["model_name"] = [["sdxl.safetensors"], {}]

    (finding,) = examine(found, read_schemas(info))

    assert (finding.fault.kind, finding.folder) == ("missing_model", "vae")
    assert finding.url.endswith("Wan2_1_VAE_bf16.safetensors")


EDITOR = {
    "nodes": [
        {"id": 1, "type": "LoadImage", "widgets_values": ["face.png"]},
        {"id": 2, "type": "Note", "widgets_values": ["see vae.safetensors"]},
        {"id": 3, "type": "MagicNode", "properties": {"cnr_id": "magic-pack", "aux_id": "someone/ComfyUI-Magic"}},
        {"id": 4, "type": "MagicNode", "mode": 4},
        {"id": 5, "type": "5f0c9a2e-0000-4000-8000-000000000001"},
        {
            "id": 6,
            "type": "VAELoader",
            "widgets_values": ["flux.safetensors"],
            "properties": {
                "models": [{"name": "flux.safetensors", "url": "https://example.com/f", "directory": "vae"}]
            },
        },
    ],
    "links": [],
    "definitions": {
        "subgraphs": [{"id": "5f0c9a2e-0000-4000-8000-000000000001", "nodes": [{"id": 9, "type": "MagicNode"}]}]
    },
}
INFO = {
    "LoadImage": {"input": {"required": {"image": [["x.png"], {}]}}, "output": ["IMAGE"]},
    "VAELoader": {"input": {"required": {"vae_name": ["COMBO", {"options": ["sd.safetensors"]}]}}, "output": ["VAE"]},
}


def test_a_workflow_of_the_editor_is_examined_with_the_packages_that_it_names():
    findings = examine(ExaminedWorkflow("e", EDITOR, WorkflowNeeds()), read_schemas(INFO))

    model, node = sorted(findings, key=lambda finding: finding.fault.kind)
    assert (model.fault.value, model.folder, model.url) == ("flux.safetensors", "vae", "https://example.com/f")
    assert (node.fault.class_type, node.fault.node) == ("MagicNode", "3, 9")
    assert (node.package, node.url) == ("magic-pack", "https://github.com/someone/ComfyUI-Magic")


def test_inputs_that_depend_on_others_are_known_by_name():
    quality = {"required": {"quality": ["COMBO", {"options": ["V0"]}]}}
    options = [{"key": "flac", "inputs": {"required": {}}}, {"key": "mp3", "inputs": quality}]
    inputs = {
        "format": ["COMFY_DYNAMICCOMBO_V3", {"options": options}],
        "values": ["COMFY_AUTOGROW_V3", {"template": {"names": ["a", "b"]}}],
        "images": ["COMFY_AUTOGROW_V3", {"template": {"prefix": "image", "max": 2}}],
    }
    schemas = read_schemas({"Node": {"input": {"required": inputs}}, "CustomCombo": {"input": {}}, "LoadImage": {}})
    given = {"format": "mp3", "format.quality": "V0", "values.b": 1, "images.image1": 2}
    wrong = {"format.qualty": "V0", "values.c": 1, "images.image2": 2}
    graph = {
        "1": {"class_type": "Node", "inputs": given | wrong},
        "2": {"class_type": "CustomCombo", "inputs": {"option9": "x"}},
        "3": {"class_type": "LoadImage", "inputs": {"upload": "image"}},
    }

    faults = check_graph(graph, schemas)

    unknown = {fault.input for fault in faults if fault.kind == "unknown_input"}
    assert unknown == set(wrong)
    assert {fault.kind for fault in faults} == {"unknown_input", "missing_input"}


def test_widgets_that_depend_on_the_format_are_no_unknown_inputs():
    formats = {"formats": {"video/h264-mp4": [["crf", "INT", {}]]}}
    info = {"VHS_VideoCombine": {"input": {"required": {"format": [["video/h264-mp4"], formats]}}, "output": []}}
    graph = {"1": {"class_type": "VHS_VideoCombine", "inputs": {"format": "video/h264-mp4", "crf": 19, "crff": 1}}}

    (fault,) = check_graph(graph, read_schemas(info))

    assert (fault.kind, fault.input) == ("unknown_input", "crff")


def test_an_unknown_name_and_a_file_that_is_no_workflow_are_refused(settings, tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "cut.json").write_text('{"1": ')

    with pytest.raises(BadParams, match="1 problem"):
        find_workflow("infinite-tlak", settings)
    for name, message in (("list.json", "is no workflow"), ("cut.json", "not JSON"), ("none.json", "cannot be read")):
        with pytest.raises(ConfigurationError, match=message):
            find_workflow(str(tmp_path / name), settings)
