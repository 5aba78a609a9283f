"""Stored workflows: a job says names and values, and all that does not fit is told at once."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from callsheet.comfyui.workflows import form_of, load_workflow, read_workflow, stored_workflows
from callsheet.domain.errors import BadParams, ConfigurationError
from callsheet.fakes.comfyui import FakeComfyUI

from .conftest import Desk, workflow

INPUTS = {
    "description": "A picture in another size",
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
def desk(server: FakeComfyUI, folder: Path, tmp_path: Path) -> Desk:
    Image.new("RGB", (40, 40), (0, 200, 0)).save(tmp_path / "frög 🐸.png")
    return Desk(tmp_path, comfyui_api_url=server.url, comfyui_workflows=folder)


async def test_named_inputs_go_into_their_fields_and_files_to_the_server(
    desk: Desk, server: FakeComfyUI, tmp_path: Path
):
    inputs = {"image": str(tmp_path / "frög 🐸.png"), "width": 32, "method": "area"}

    [picture] = (await desk.run(workflow="resize", inputs=inputs)).images

    with Image.open(desk.job.path_of(picture)) as image:
        assert image.size == (32, 48)
        assert image.getpixel((3, 3)) == (0, 200, 0)
    sent = server.prompts[0]["prompt"]
    assert sent["1"]["inputs"]["image"] == f"callsheet/{server.uploads[0]}"
    assert server.uploads[0].isascii()


async def test_the_same_file_twice_is_one_file_there(desk: Desk, server: FakeComfyUI, tmp_path: Path):
    for _ in range(2):
        desk.new_job()
        await desk.run(workflow="resize", inputs={"image": str(tmp_path / "frög 🐸.png")})

    assert len(set(server.uploads)) == 1


async def test_everything_that_does_not_fit_is_told_at_once(desk: Desk, server: FakeComfyUI):
    inputs = {"width": 33, "height": "tall", "method": "blur", "hue": 3, "name": 7}

    with pytest.raises(BadParams) as caught:
        await desk.run(workflow="resize", inputs=inputs)

    assert {problem.path: problem.code for problem in caught.value.problems} == {
        "inputs.hue": "unknown_input",
        "inputs.image": "missing",
        "inputs.width": "bad_value",
        "inputs.height": "bad_value",
        "inputs.method": "bad_value",
        "inputs.name": "bad_value",
    }
    assert server.prompts == []


async def test_what_the_server_refuses_is_told_by_the_jobs_own_words(desk: Desk, tmp_path: Path):
    with pytest.raises(BadParams) as caught:
        await desk.run(workflow="resize", inputs={"image": str(tmp_path / "frög 🐸.png"), "method": "magic"})

    [problem] = caught.value.problems
    assert problem.path == "inputs.method"
    assert "graph.2.upscale_method" in problem.message


async def test_a_file_is_taken_for_what_its_bytes_are(desk: Desk, server: FakeComfyUI, tmp_path: Path):
    (tmp_path / "song.png").write_bytes(wave())

    with pytest.raises(BadParams) as caught:
        await desk.run(workflow="resize", inputs={"image": str(tmp_path / "song.png")})

    assert [(p.path, p.code) for p in caught.value.problems] == [("inputs.image", "no_picture")]
    assert server.uploads == []


def wave() -> bytes:
    import io
    from wave import open as open_wave

    data = io.BytesIO()
    with open_wave(data, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    return data.getvalue()


async def test_an_unknown_workflow_is_told_with_those_there_are(desk: Desk):
    with pytest.raises(BadParams, match="no workflow 'talk'; there are: resize"):
        await desk.run(workflow="talk")


async def test_a_seed_is_drawn_anew_for_every_job_and_kept_when_given(desk: Desk, server: FakeComfyUI, folder: Path):
    store(folder, "dice", workflow("text_preview"), {"inputs": {"seed": {"to": "1.value", "type": "seed"}}})
    for given in ({}, {}, {"seed": 7}):
        desk.new_job()
        await desk.run(workflow="dice", inputs=given)

    first, second, third = (prompt["prompt"]["1"]["inputs"]["value"] for prompt in server.prompts)
    assert first != second
    assert third == 7


async def test_fields_of_a_whole_graph_are_named_by_node(desk: Desk, server: FakeComfyUI, tmp_path: Path):
    graph = workflow("image_load_scale_save")
    await desk.run(graph=graph, inputs={"2.width": 24}, files={"1.image": str(tmp_path / "frög 🐸.png")})

    assert server.prompts[0]["prompt"]["2"]["inputs"]["width"] == 24
    assert graph["2"]["inputs"]["width"] == 96, "what was given is not changed"


async def test_a_field_that_is_not_there_is_told(desk: Desk):
    with pytest.raises(BadParams) as caught:
        await desk.run(graph=workflow("image_tiny"), inputs={"9.width": 1, "width": 2})

    assert {problem.path for problem in caught.value.problems} == {"inputs.9.width", "inputs.width"}


@pytest.mark.parametrize(("link", "words"), [(["9", 0], "from node 9, and there is none"), (["1", 0], "wait for each")])
async def test_an_input_that_leads_nowhere_is_told_before_the_server_sees_it(
    desk: Desk, server: FakeComfyUI, link: list[Any], words: str
):
    with pytest.raises(BadParams, match=words):
        await desk.run(graph=workflow("image_tiny"), inputs={"1.width": link})

    assert server.prompts == []


async def test_a_job_with_a_name_and_a_graph_has_one_too_many(desk: Desk):
    with pytest.raises(BadParams, match="not both"):
        await desk.run(workflow="resize", graph=workflow("image_tiny"))


async def test_a_job_with_neither_is_told_what_to_give(desk: Desk):
    with pytest.raises(BadParams, match="COMFYUI_VIDEO_WORKFLOW_JSON"):
        await desk.run()


@pytest.mark.parametrize("as_file", [True, False])
async def test_the_workflow_of_the_settings_is_changed_field_by_field(
    server: FakeComfyUI, tmp_path: Path, as_file: bool
):
    text = json.dumps({"prompt": workflow("image_tiny")})
    (tmp_path / "video.json").write_text(text)
    given = str(tmp_path / "video.json") if as_file else text
    desk = Desk(tmp_path, comfyui_api_url=server.url, comfyui_video_workflow_json=given)

    [picture] = (await desk.run(graph={"1": {"inputs": {"width": 20}}})).images

    assert picture.probe is not None
    assert (picture.probe.width, picture.probe.height) == (20, 64)


async def test_a_whole_graph_is_not_mixed_with_the_workflow_of_the_settings(server: FakeComfyUI, tmp_path: Path):
    text = json.dumps(workflow("video_mp4"))
    desk = Desk(tmp_path, comfyui_api_url=server.url, comfyui_video_workflow_json=text)

    assert len((await desk.run(graph=workflow("image_tiny"))).files) == 1


async def test_a_stored_workflow_in_the_editors_format_is_explained(desk: Desk, folder: Path):
    store(folder, "drawn", {"nodes": [], "links": []})

    with pytest.raises(ConfigurationError, match=r"Export \(API\)"):
        await desk.run(workflow="drawn")


def test_a_file_that_names_fields_that_are_not_there_is_refused(desk: Desk, folder: Path):
    store(folder, "off", workflow("image_tiny"), {"inputs": {"seed": {"to": "77.seed", "type": "seed"}}})
    store(folder, "odd", workflow("image_tiny"), {"inputs": {"size": {"to": "1.width", "type": "volume"}}})

    with pytest.raises(ConfigurationError, match=r"seed: the graph has no node for '77\.seed'"):
        load_workflow("off", desk.settings)
    with pytest.raises(ConfigurationError, match=r"inputs\.size\.type"):
        load_workflow("odd", desk.settings)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("odd.json", b"\xff\xfe{}", "odd.json is not text in UTF-8"),
        ("odd.inputs.yaml", b"\xff\xfe{}", "odd.inputs.yaml is not text in UTF-8"),
        ("odd.json", b"[" * 100_000, "odd.json is nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_name(tmp_path: Path, name: str, data: bytes, words: str):
    (tmp_path / "odd.json").write_text(json.dumps(workflow("image_tiny")))
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ConfigurationError, match=words):
        read_workflow(tmp_path / "odd.json")


def test_a_mark_before_the_text_is_passed_over(tmp_path: Path):
    (tmp_path / "odd.json").write_text(json.dumps(workflow("image_tiny")), encoding="utf-8-sig")

    assert read_workflow(tmp_path / "odd.json").graph == workflow("image_tiny")


def test_a_form_is_drawn_from_a_workflow(desk: Desk):
    form = form_of(load_workflow("resize", desk.settings))

    assert form["required"] == ["image"]
    assert form["properties"]["width"] == {
        "type": "integer",
        "description": "",
        "minimum": 16,
        "maximum": 256,
        "multipleOf": 8,
        "default": 96,
    }
    assert form["properties"]["image"]["format"] == "media-source"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    desk = Desk(tmp_path, comfyui_workflows=tmp_path / "nowhere")

    with pytest.raises(ConfigurationError, match="nowhere"):
        stored_workflows(desk.settings)
