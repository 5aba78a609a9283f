"""Stored workflows: named inputs, validation, JSON Schema."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from callsheet.comfyui.workflow_inputs import input_schema
from callsheet.comfyui.workflows import load_workflow, read_workflow, stored_workflows
from callsheet.domain.errors import BadParams, ConfigurationError
from callsheet.fakes.comfyui import FakeComfyUI

from .conftest import JobRunner, workflow

INPUTS = {
    "description": "A resized image",
    "inputs": {
        "image": {"to": "1.image", "type": "image"},
        "width": {"to": "2.width", "type": "integer", "min": 16, "max": 256, "step": 8},
        "height": {"to": ["2.height"], "type": "integer", "default": 48},
        "method": {"to": "2.upscale_method", "type": "choice", "options": ["area", "lanczos", "magic"]},
        "name": {"to": "3.filename_prefix", "type": "string"},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "workflows"
    folder.mkdir()
    store(folder, "resize", workflow("image_load_scale_save"), INPUTS)
    return folder


def store(folder: Path, name: str, graph: Any, inputs: Any = None) -> None:
    (folder / f"{name}.json").write_text(json.dumps(graph))
    if inputs is not None:
        (folder / f"{name}.inputs.yaml").write_text(yaml.safe_dump(inputs))


@pytest.fixture
def runner(server: FakeComfyUI, folder: Path, tmp_path: Path) -> JobRunner:
    Image.new("RGB", (40, 40), (0, 200, 0)).save(tmp_path / "frög 🐸.png")
    return JobRunner(tmp_path, comfyui_api_url=server.url, comfyui_workflows=folder)


async def test_named_inputs_are_set_and_files_uploaded(runner: JobRunner, server: FakeComfyUI, tmp_path: Path):
    inputs = {"image": str(tmp_path / "frög 🐸.png"), "width": 32, "method": "area"}

    [artifact] = (await runner.run(workflow="resize", inputs=inputs)).images

    with Image.open(runner.job.path_of(artifact)) as image:
        assert image.size == (32, 48)
        assert image.getpixel((3, 3)) == (0, 200, 0)
    sent = server.prompt_requests[0]["prompt"]
    assert sent["1"]["inputs"]["image"] == f"callsheet/{server.uploads[0]}"
    assert server.uploads[0].isascii()


async def test_equal_files_are_stored_once_on_the_server(runner: JobRunner, server: FakeComfyUI, tmp_path: Path):
    for _ in range(2):
        runner.new_job()
        await runner.run(workflow="resize", inputs={"image": str(tmp_path / "frög 🐸.png")})

    assert len(set(server.uploads)) == 1


async def test_all_invalid_inputs_are_reported_at_once(runner: JobRunner, server: FakeComfyUI):
    inputs = {"width": 33, "height": "tall", "method": "blur", "hue": 3, "name": 7}

    with pytest.raises(BadParams) as caught:
        await runner.run(workflow="resize", inputs=inputs)

    assert {problem.path: problem.code for problem in caught.value.problems} == {
        "inputs.hue": "unknown_input",
        "inputs.image": "missing",
        "inputs.width": "bad_value",
        "inputs.height": "bad_value",
        "inputs.method": "bad_value",
        "inputs.name": "bad_value",
    }
    assert server.prompt_requests == []


async def test_problems_of_the_server_name_the_inputs_of_the_job(runner: JobRunner, tmp_path: Path):
    with pytest.raises(BadParams) as caught:
        await runner.run(workflow="resize", inputs={"image": str(tmp_path / "frög 🐸.png"), "method": "magic"})

    [problem] = caught.value.problems
    assert problem.path == "inputs.method"
    assert "graph.2.upscale_method" in problem.message


async def test_the_contents_of_a_file_decide_its_type(runner: JobRunner, server: FakeComfyUI, tmp_path: Path):
    (tmp_path / "song.png").write_bytes(wave())

    with pytest.raises(BadParams) as caught:
        await runner.run(workflow="resize", inputs={"image": str(tmp_path / "song.png")})

    assert [(p.path, p.code) for p in caught.value.problems] == [("inputs.image", "no_picture")]
    assert server.uploads == []


def wave() -> bytes:
    import io
    from wave import open as open_wave

    data = io.BytesIO()
    with open_wave(data, "wb") as audio:
        audio.setparams((1, 2, 8000, 0, "NONE", ""))
        audio.writeframes(bytes(8000))
    return data.getvalue()


async def test_an_unknown_workflow_is_reported_with_the_known_ones(runner: JobRunner):
    with pytest.raises(BadParams, match="no workflow 'talk'; known workflows: resize"):
        await runner.run(workflow="talk")


async def test_a_seed_is_random_for_every_job_unless_given(runner: JobRunner, server: FakeComfyUI, folder: Path):
    store(folder, "dice", workflow("text_preview"), {"inputs": {"seed": {"to": "1.value", "type": "seed"}}})
    for given in ({}, {}, {"seed": 7}):
        runner.new_job()
        await runner.run(workflow="dice", inputs=given)

    first, second, third = (prompt["prompt"]["1"]["inputs"]["value"] for prompt in server.prompt_requests)
    assert first != second
    assert third == 7


async def test_inputs_of_a_graph_are_named_by_node(runner: JobRunner, server: FakeComfyUI, tmp_path: Path):
    graph = workflow("image_load_scale_save")
    await runner.run(graph=graph, inputs={"2.width": 24}, files={"1.image": str(tmp_path / "frög 🐸.png")})

    assert server.prompt_requests[0]["prompt"]["2"]["inputs"]["width"] == 24
    assert graph["2"]["inputs"]["width"] == 96, "the given graph is not changed"


async def test_an_unknown_field_is_reported(runner: JobRunner):
    with pytest.raises(BadParams) as caught:
        await runner.run(graph=workflow("image_tiny"), inputs={"9.width": 1, "width": 2})

    assert {problem.path for problem in caught.value.problems} == {"inputs.9.width", "inputs.width"}


@pytest.mark.parametrize(
    ("link", "message"), [(["9", 0], "from node 9, which does not exist"), (["1", 0], "wait for each")]
)
async def test_an_invalid_link_is_reported_before_submission(
    runner: JobRunner, server: FakeComfyUI, link: list[Any], message: str
):
    with pytest.raises(BadParams, match=message):
        await runner.run(graph=workflow("image_tiny"), inputs={"1.width": link})

    assert server.prompt_requests == []


async def test_a_job_must_not_have_a_workflow_and_a_graph(runner: JobRunner):
    with pytest.raises(BadParams, match="not both"):
        await runner.run(workflow="resize", graph=workflow("image_tiny"))


async def test_a_job_needs_a_workflow_or_a_graph(runner: JobRunner):
    with pytest.raises(BadParams, match="COMFYUI_VIDEO_WORKFLOW_JSON"):
        await runner.run()


@pytest.mark.parametrize("as_file", [True, False])
async def test_the_default_graph_is_merged_field_by_field(server: FakeComfyUI, tmp_path: Path, as_file: bool):
    text = json.dumps({"prompt": workflow("image_tiny")})
    (tmp_path / "video.json").write_text(text)
    given = str(tmp_path / "video.json") if as_file else text
    runner = JobRunner(tmp_path, comfyui_api_url=server.url, comfyui_video_workflow_json=given)

    [artifact] = (await runner.run(graph={"1": {"inputs": {"width": 20}}})).images

    assert artifact.probe is not None
    assert (artifact.probe.width, artifact.probe.height) == (20, 64)


async def test_a_complete_graph_replaces_the_default_graph(server: FakeComfyUI, tmp_path: Path):
    text = json.dumps(workflow("video_mp4"))
    runner = JobRunner(tmp_path, comfyui_api_url=server.url, comfyui_video_workflow_json=text)

    assert len((await runner.run(graph=workflow("image_tiny"))).files) == 1


async def test_a_workflow_in_the_editor_format_is_reported(runner: JobRunner, folder: Path):
    store(folder, "drawn", {"nodes": [], "links": []})

    with pytest.raises(ConfigurationError, match=r"Export \(API\)"):
        await runner.run(workflow="drawn")


def test_a_description_with_unknown_fields_is_rejected(runner: JobRunner, folder: Path):
    store(folder, "off", workflow("image_tiny"), {"inputs": {"seed": {"to": "77.seed", "type": "seed"}}})
    store(folder, "odd", workflow("image_tiny"), {"inputs": {"size": {"to": "1.width", "type": "volume"}}})

    with pytest.raises(ConfigurationError, match=r"seed: the graph has no node for '77\.seed'"):
        load_workflow("off", runner.settings)
    with pytest.raises(ConfigurationError, match=r"inputs\.size\.type"):
        load_workflow("odd", runner.settings)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("odd.json", b"\xff\xfe{}", "odd.json is not text in UTF-8"),
        ("odd.inputs.yaml", b"\xff\xfe{}", "odd.inputs.yaml is not text in UTF-8"),
        ("odd.json", b"[" * 100_000, "odd.json: nested too deeply"),
    ],
)
def test_an_unreadable_file_is_reported_by_name(tmp_path: Path, name: str, data: bytes, message: str):
    (tmp_path / "odd.json").write_text(json.dumps(workflow("image_tiny")))
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ConfigurationError, match=message):
        read_workflow(tmp_path / "odd.json")


def test_a_byte_order_mark_is_skipped(tmp_path: Path):
    (tmp_path / "odd.json").write_text(json.dumps(workflow("image_tiny")), encoding="utf-8-sig")

    assert read_workflow(tmp_path / "odd.json").graph == workflow("image_tiny")


def test_the_json_schema_of_a_workflow(runner: JobRunner):
    schema = input_schema(load_workflow("resize", runner.settings))

    assert schema["required"] == ["image"]
    assert schema["properties"]["width"] == {
        "type": "integer",
        "description": "",
        "minimum": 16,
        "maximum": 256,
        "multipleOf": 8,
        "default": 96,
    }
    assert schema["properties"]["image"]["format"] == "media-source"


def test_a_missing_folder_is_reported(tmp_path: Path):
    runner = JobRunner(tmp_path, comfyui_workflows=tmp_path / "nowhere")

    with pytest.raises(ConfigurationError, match="nowhere"):
        stored_workflows(runner.settings)
