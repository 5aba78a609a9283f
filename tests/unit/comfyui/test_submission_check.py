"""What is found about a ComfyUI job when its plan is submitted, before anything runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from callsheet.cli.diagnostics import run_checks
from callsheet.comfyui import known_nodes
from callsheet.comfyui.editor_format import NotConvertible, to_api_format
from callsheet.comfyui.known_nodes import KnownNodes
from callsheet.comfyui.node_schemas import read_schemas
from callsheet.comfyui.workflows import to_graph
from callsheet.domain.errors import BadParams, PlanRefused
from callsheet.domain.plan import Plan
from callsheet.domain.plan_validation import check_plan
from callsheet.fakes.comfyui import FakeComfyUI
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.comfyui.operation import comfyui
from callsheet.settings import Settings

from .conftest import JobRunner, workflow

NOWHERE = "http://127.0.0.1:9"
RESIZE = {
    "inputs": {
        "image": {"to": "1.image", "type": "image"},
        "width": {"to": "2.width", "type": "integer", "min": 16, "max": 256, "step": 8},
    }
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "resize.json").write_text(json.dumps(workflow("image_load_scale_save")))
    (folder / "resize.inputs.yaml").write_text(yaml.safe_dump(RESIZE))
    return Settings(_env_file=None, data_dir=tmp_path / "data", comfyui_workflows=folder, comfyui_api_url=NOWHERE)


def problems(settings: Settings, **params: Any) -> dict[str, str]:
    """Check a plan with one job, and return the codes of its problems by path."""
    jobs = [("first", {"graph": workflow("image_tiny")}), ("draw", params)]
    plan = Plan.model_validate(
        {"jobs": [{"id": name, "operation": "comfyui", "params": given} for name, given in jobs]}
    )
    try:
        check_plan(plan, Catalog([comfyui]).with_settings(settings), max_jobs=10)
    except PlanRefused as refused:
        return {problem.path.removeprefix("jobs[1].params."): problem.code for problem in refused.problems}
    return {}


@pytest.fixture
async def connected(settings: Settings, server: FakeComfyUI) -> Settings:
    """Settings with a server that is asked for its nodes."""
    connected = settings.model_copy(update={"comfyui_api_url": server.url})
    await asyncio.to_thread(KnownNodes(connected).ask_servers)
    return connected


def test_an_unknown_workflow_is_refused(settings: Settings):
    assert problems(settings, workflow="nope") == {"workflow": "unknown_workflow"}


def test_inputs_of_a_stored_workflow_are_checked_by_type_and_bounds(settings: Settings):
    found = problems(settings, workflow="resize", inputs={"width": 13, "hue": 1})

    assert found == {"inputs.image": "missing", "inputs.width": "bad_value", "inputs.hue": "unknown_input"}


def test_values_that_are_not_known_yet_are_not_checked(settings: Settings):
    inputs = {"image": "${first.images[0]}", "width": "${first.images[0].probe.width}"}

    assert problems(settings, workflow="resize", inputs=inputs) == {}
    graph = workflow("image_tiny")
    graph["1"]["inputs"]["width"] = "${first.images[0].probe.width}"
    assert problems(settings, graph=graph) == {}


def test_a_reference_does_not_hide_other_problems(settings: Settings):
    found = problems(settings, workflow="resize", inputs={"image": "${first.images[0]}", "width": 13})

    assert found == {"inputs.width": "bad_value"}


def test_only_the_nodes_of_a_cycle_are_named(settings: Settings):
    graph = {
        "1": {"class_type": "ImageScale", "inputs": {"image": ["2", 0], "note": "${first.images[0]}"}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "mask": ["4", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
        "4": {"class_type": "EmptyImage", "inputs": {}},
    }
    plan = Plan.model_validate({"jobs": [{"id": "draw", "operation": "comfyui", "params": {"graph": graph}}]})
    graph["1"]["inputs"].pop("note")
    with pytest.raises(PlanRefused) as refused:
        check_plan(plan, Catalog([comfyui]).with_settings(settings), max_jobs=10)

    assert [problem.message for problem in refused.value.problems] == ["these nodes wait for each other: 1, 2"]


@pytest.mark.parametrize(
    ("link", "code"), [(["9", 0], "no_such_node"), (["1", -1], "no_such_output"), (["2", 0], "cycle")]
)
def test_links_are_checked_without_a_server(settings: Settings, link: list[Any], code: str):
    graph = workflow("image_tiny")
    graph["2"]["inputs"]["images"] = link

    assert list(problems(settings, graph=graph).values()) == [code]


def test_outputs_and_fields_are_checked_against_the_nodes_of_the_servers(connected: Settings):
    graph = workflow("image_tiny")
    graph["2"]["inputs"]["images"] = ["1", 5]

    assert problems(connected, graph=graph) == {"graph.2.images": "no_such_output"}
    assert problems(connected, graph=workflow("image_tiny"), inputs={"1.widht": 256}) == {
        "inputs.1.widht": "no_such_field"
    }


def test_a_server_that_does_not_respond_is_asked_once(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(KnownNodes, "_ask", lambda _, host: asked.append(host.name))

    for _ in range(3):
        assert problems(settings, graph=workflow("image_tiny"), inputs={"1.widht": 256}) == {}

    assert asked == ["127.0.0.1:9"]


async def test_a_misspelt_field_is_refused_before_the_prompt_when_no_nodes_were_known(
    server: FakeComfyUI, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(KnownNodes, "_ask", lambda *_: None)

    with pytest.raises(Exception, match=r"inputs\.1\.widht: EmptyImage has no input 'widht', did you mean 'width'"):
        await runner.run(graph=workflow("image_tiny"), inputs={"1.widht": 256})

    assert server.prompt_requests == []


async def test_a_worker_keeps_what_the_nodes_of_a_server_take(runner: JobRunner):
    await runner.run(graph=workflow("image_tiny"))
    await asyncio.gather(*runner.pool._learning.values())

    assert KnownNodes(runner.settings).takes("EmptyImage", "widht") is False
    assert not known_nodes.is_stale(runner.settings, runner.pool.servers[0].name)


def test_a_stored_workflow_with_a_misspelt_field_is_refused(connected: Settings):
    assert connected.comfyui_workflows is not None
    wrong = {"inputs": {"width": {"to": "2.widht", "type": "integer"}}}
    (connected.comfyui_workflows / "resize.inputs.yaml").write_text(yaml.safe_dump(wrong))

    assert problems(connected, workflow="resize", inputs={"width": 32}) == {"workflow": "invalid_workflow"}


EDITOR = {
    "nodes": [
        {"id": 1, "type": "EmptyImage", "inputs": [], "widgets_values": [48, 32, 1, 255], "title": "canvas"},
        {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "link": 8}], "widgets_values": ["drawn"]},
        {"id": 3, "type": "Reroute", "inputs": [{"name": "", "link": 7}]},
        {"id": 4, "type": "Note", "widgets_values": ["hello"]},
        {
            "id": 5,
            "type": "ImageInvert",
            "mode": 4,
            "inputs": [{"name": "image", "type": "IMAGE", "link": 9}],
            "outputs": [{"type": "IMAGE"}],
        },
        {"id": 6, "type": "PreviewImage", "mode": 2, "inputs": [{"name": "images", "link": 6}]},
    ],
    "links": [[7, 1, 0, 3, 0, "IMAGE"], [9, 3, 0, 5, 0, "IMAGE"], [8, 5, 0, 2, 0, "IMAGE"], [6, 1, 0, 6, 0, "IMAGE"]],
}


async def test_a_workflow_of_the_editor_is_converted_with_the_nodes_of_the_server(
    connected: Settings, runner: JobRunner
):
    assert await asyncio.to_thread(problems, connected, workflow=EDITOR) == {}

    [artifact] = (await runner.run(workflow=EDITOR, inputs={"1.width": 56})).images

    with Image.open(runner.job.path_of(artifact)) as image:
        assert (image.size, image.getpixel((0, 0))) == ((56, 32), (0, 0, 255))


def _editor_node(number: int, kind: str, *links: int | None, values: Any = (), **more: Any) -> dict[str, Any]:
    """Return a node of the editor whose inputs have these links."""
    names = {"SaveImage": ["images"], "outer": ["image"]}.get(kind, [""] * len(links))
    inputs = [{"name": name, "type": "IMAGE", "link": link} for name, link in zip(names, links, strict=False)]
    outputs = [{"type": "IMAGE"}]
    return {"id": number, "type": kind, "inputs": inputs, "outputs": outputs, "widgets_values": [*values], **more}


SCALE = ["nearest-exact", 24, 16, "disabled"]
INNER = {
    "id": "inner",
    "inputNode": {"id": -10},
    "outputNode": {"id": -20},
    "inputs": [{"name": "image"}, {"name": "width"}],
    "outputs": [{"name": "IMAGE"}],
    "nodes": [
        _editor_node(1, "GetNode", values=["canvas"]),
        {
            **_editor_node(2, "ImageScale", values=SCALE),
            "inputs": [{"name": "image", "link": 1}, {"name": "width", "widget": {"name": "width"}, "link": 2}],
        },
        _editor_node(3, "SetNode", 3, values=["canvas"]),
    ],
    "links": [
        {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0},
        {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 2, "target_slot": 1},
        {"id": 3, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 0},
        {"id": 4, "origin_id": 2, "origin_slot": 0, "target_id": -20, "target_slot": 0},
    ],
}
OUTER = {
    "id": "outer",
    "inputs": [{"name": "image"}],
    "outputs": [{"name": "IMAGE"}],
    "nodes": [
        {
            **_editor_node(7, "inner", values=[40]),
            "properties": {"proxyWidgets": [["-1", "width"]]},
            "inputs": [{"name": "image", "link": 1}, {"name": "width", "widget": {"name": "width"}, "link": None}],
        },
    ],
    "links": [
        {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 7, "target_slot": 0},
        {"id": 2, "origin_id": 7, "origin_slot": 0, "target_id": -20, "target_slot": 0},
    ],
}
SUBGRAPHS = {
    "nodes": [
        _editor_node(1, "EmptyImage", values=[48, 32, 1, 255]),
        _editor_node(2, "outer", 1),
        _editor_node(3, "SaveImage", 2, values=["drawn"]),
        _editor_node(4, "outer", 1, mode=2),
        _editor_node(5, "Label (rgthree)"),
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    "definitions": {"subgraphs": [INNER, OUTER]},
}


async def test_subgraphs_and_pairs_of_set_and_get_are_converted(connected: Settings, runner: JobRunner):
    assert await asyncio.to_thread(problems, connected, workflow=SUBGRAPHS) == {}
    graph = to_graph(SUBGRAPHS, connected)

    assert {node: fields["class_type"] for node, fields in graph.items()} == {
        "1": "EmptyImage",
        "3": "SaveImage",
        "2:7:2": "ImageScale",
    }
    assert graph["3"]["inputs"]["images"] == ["2:7:2", 0]
    assert graph["2:7:2"]["inputs"] == {
        "image": ["1", 0],
        "width": 40,
        "height": 16,
        "upscale_method": "nearest-exact",
        "crop": "disabled",
    }

    [artifact] = (await runner.run(workflow=SUBGRAPHS, inputs={"2:7:2.height": 20})).images

    with Image.open(runner.job.path_of(artifact)) as image:
        assert image.size == (40, 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"nodes": [_editor_node(1, "GetNode", values=["x"]), _editor_node(3, "SaveImage", 1)]},
            "GetNode (node 1) gets",
        ),
        ({"nodes": [_editor_node(8, "workflow>Old", 1), _editor_node(9, "SaveImage", 1)]}, "(node 8) is a group node"),
        ({"nodes": [_editor_node(8, "NotInstalled", 1)]}, "no node 'NotInstalled' (node 8)"),
        (
            {"definitions": {"subgraphs": [{**INNER, "nodes": [_editor_node(5, "inner")]}, OUTER]}},
            "2:7:5 contains itself",
        ),
        ({"definitions": {"subgraphs": [INNER]}}, "no node 'outer' (node 2)"),
    ],
)
def test_what_cannot_be_converted_is_named(connected: Settings, change: dict[str, Any], message: str):
    with pytest.raises(BadParams) as caught:
        to_graph(SUBGRAPHS | {"links": [[1, 1, 0, 3, 0, "IMAGE"]]} | change, connected)

    assert message in caught.value.problems[0].message


def test_boxes_lists_and_widgets_that_depend_on_others_are_converted():
    inputs = {"region": ["BOUNDING_BOX", {}], "format": ["COMFY_DYNAMICCOMBO_V3", {}], "points": ["CURVE", {}]}
    schemas = read_schemas({"Node": {"input": {"required": inputs}, "output": []}})
    slots = [{"name": name, "widget": {"name": name}} for name in ("region", "format", "format.quality", "points")]
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    node = {"id": 1, "type": "Node", "inputs": slots, "widgets_values": [box, 1, 2, 3, 4, "mp3", "320k", [[0, 1]]]}

    graph = to_api_format({"nodes": [node], "links": []}, schemas)

    assert graph["1"]["inputs"] == {
        "region": box,
        "format": "mp3",
        "format.quality": "320k",
        "points": {"__value__": [[0, 1]]},
    }


def test_odd_files_of_the_editor_are_converted_as_the_editor_reads_them():
    """Links that their inputs do not list, inputs in another order, missing values, options of the editor."""
    inputs = {"name": [["a", "b"]], "size": ["INT", {"default": 4}], "seed": ["INT", {"default": 1}]}
    classes = {
        "Node": {"input": {"required": inputs}},
        "CustomCombo": {"input": {"required": {"choice": ["COMBO", {}]}}},
    }
    names = ("name", "size")
    node = {
        "id": 1,
        "type": "Node",
        "inputs": [{"name": n, "widget": {"name": n}, "link": i} for i, n in enumerate(names, 1)],
        "widgets_values": ["b"],
    }
    combo = {"id": 2, "type": "CustomCombo", "widgets_values": ["y", 1, "x", "y", ""]}
    links = [
        {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0},
        {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 1, "target_slot": 1},
    ]
    given = [{"name": "width", "linkIds": []}, {"name": "size", "linkIds": [2]}]
    subgraph = {"id": "s", "inputs": given, "nodes": [node, combo], "links": links}
    use = {"id": 5, "type": "s", "inputs": [{"name": "size", "widget": {}}, {"name": "width", "widget": {}}]}
    data = {"nodes": [{**use, "widgets_values": [9, 8]}], "links": [], "definitions": {"subgraphs": [subgraph]}}

    graph = to_api_format(data, read_schemas(classes))

    assert graph["5:1"]["inputs"] == {"name": "b", "size": 9, "seed": 1}
    assert graph["5:2"]["inputs"] == {"choice": "y", "index": 1, "option1": "x", "option2": "y", "option3": ""}


def test_a_workflow_of_the_editor_is_refused_without_a_server(settings: Settings):
    assert problems(settings, graph=EDITOR) == {"graph": "editor_format"}


def test_seeds_primitives_and_named_values_of_the_editor_are_converted():
    inputs = {"seed": ["INT", {}], "text": ["STRING", {}], "clip": ["CLIP"], "mode": [["a", "b"]]}
    schemas = read_schemas({"Node": {"input": {"required": inputs}, "output": []}})
    slots = [{"name": "text", "link": 1}]
    nodes = [
        {"id": 1, "type": "PrimitiveNode", "widgets_values": ["hello", "fixed"]},
        {"id": 2, "type": "Node", "inputs": slots, "widgets_values": [7, "randomize", "", "b"]},
        {"id": 3, "type": "Node", "widgets_values": {"seed": 8, "preview": {}}},
    ]

    graph = to_api_format({"nodes": nodes, "links": [{"id": 1, "origin_id": 1, "origin_slot": 0}]}, schemas)

    assert graph["2"]["inputs"] == {"seed": 7, "mode": "b", "text": "hello"}
    assert graph["3"]["inputs"] == {"seed": 8}
    with pytest.raises(NotConvertible, match="stores 5 values, and the server's node takes 3"):
        to_api_format({"nodes": [{"id": 2, "type": "Node", "widgets_values": [7, "x", "b", 1, 2]}]}, schemas)


@pytest.mark.parametrize(
    "graph",
    [
        {"1": {"class_type": "EmptyImage", "inputs": {"color": 7}}},
        {"1": {"inputs": {"color": 7}}, "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}},
        {"3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}},
    ],
)
async def test_changes_of_the_default_graph_may_name_classes(server: FakeComfyUI, tmp_path: Path, graph: dict):
    text = json.dumps(workflow("image_tiny"))
    runner = JobRunner(tmp_path, comfyui_api_url=server.url, comfyui_video_workflow_json=text)

    await runner.run(graph=graph)

    sent = server.prompt_requests[0]["prompt"]
    assert sent["1"]["inputs"]["width"] == 64
    assert sent["1"]["inputs"]["color"] == graph.get("1", workflow("image_tiny")["1"])["inputs"]["color"]
    assert sent["2"]["class_type"] == "SaveImage"


@pytest.mark.parametrize("value", ['{"1": ', "/nowhere/video.json", '{"nodes": [], "links": []}'])
async def test_a_broken_default_graph_is_found_by_check_and_at_submission(settings: Settings, value: str):
    options = {"data_dir": settings.data_dir, "comfyui_video_workflow_json": value, "_env_file": None}
    findings = await run_checks(options, ["callsheet.operations.comfyui.operation"])

    assert [f.level for f in findings if "COMFYUI_VIDEO_WORKFLOW_JSON" in f.message] == ["error"]
    broken = settings.model_copy(update={"comfyui_video_workflow_json": value})
    assert problems(broken)["workflow"] == "invalid_workflow"


async def test_images_are_set_where_the_graph_loads_them_by_name(
    runner: JobRunner, server: FakeComfyUI, tmp_path: Path
):
    Image.new("RGB", (40, 40)).save(tmp_path / "face.png")
    graph = workflow("image_load_scale_save")
    graph["1"]["inputs"]["image"] = "video-id.png"

    await runner.run(workflow=graph, images=[{"name": "video-id.png", "image": str(tmp_path / "face.png")}])

    assert server.prompt_requests[0]["prompt"]["1"]["inputs"]["image"] == f"callsheet/{server.uploads[0]}"


def test_an_image_that_no_node_loads_is_refused(settings: Settings):
    images = [{"name": "other.png", "image": "https://example.com/image.png"}]

    assert problems(settings, workflow=workflow("image_load_scale_save"), images=images) == {
        "images[0].name": "no_such_field"
    }
