"""What is wrong is told before anything is queued, by node, input and reason."""

import json
from pathlib import Path

import httpx2
import pytest

from callsheet.comfyui.parsing import sanitize_text
from callsheet.domain.errors import BadParams, ProviderFailed
from callsheet.fakes.comfyui import FakeComfyUI

from .conftest import Desk, stepping, workflow


@pytest.mark.parametrize(
    ("name", "path", "code", "words"),
    [
        ("fail_unknown_node", "graph", "invalid_prompt", "NoSuchNode does not exist"),
        ("fail_no_output_node", "graph", "prompt_no_outputs", "SaveImage"),
        ("fail_missing_input", "graph.2.images", "required_input_missing", "SaveImage: Required input is missing"),
        ("fail_not_in_list", "graph.2.upscale_method", "value_not_in_list", "'magic' not in"),
        ("fail_missing_file", "graph.1.image", "custom_validation_failed", "does_not_exist.png"),
    ],
)
async def test_the_servers_check_is_told_in_words(desk: Desk, name: str, path: str, code: str, words: str):
    with pytest.raises(BadParams) as caught:
        await desk.run(graph=workflow(name))

    [problem] = caught.value.problems
    assert (problem.path, problem.code) == (path, code)
    assert words in problem.message


async def test_all_faults_of_a_graph_are_told_at_once(desk: Desk):
    graph = workflow("fail_not_in_list")
    graph["1"]["inputs"] |= {"width": 0, "height": "tall"}

    with pytest.raises(BadParams) as caught:
        await desk.run(graph=graph)

    assert {problem.path for problem in caught.value.problems} == {
        "graph.1.width",
        "graph.1.height",
        "graph.2.upscale_method",
    }


async def test_a_server_that_would_run_half_of_a_graph_does_not(desk: Desk, server: FakeComfyUI):
    graph = stepping()
    graph |= {"3": workflow("fail_missing_file")["1"]}
    graph["4"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "bad"}}

    with pytest.raises(BadParams, match="does_not_exist"):
        await desk.run(graph=graph)

    assert len(server.accepted) == 1
    assert server.executor.remaining == 0
    assert not list(server.output.rglob("*.png"))


@pytest.mark.parametrize(
    ("graph", "code"),
    [
        ({"nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4}, "editor_format"),
        ({"1": {"inputs": {}}}, "no_class_type"),
        ({"1": {"class_type": "SaveImage"}}, "no_inputs"),
        ({"1": {"class_type": "SaveImage", "inputs": {"images": ["9", 0]}}}, "no_such_node"),
        ({"1": {"class_type": "SaveImageWebsocket", "inputs": {}}}, "only_by_websocket"),
        (
            {
                "1": {"class_type": "ImageScale", "inputs": {"image": ["2", 0]}},
                "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0]}},
                "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
            },
            "cycle",
        ),
    ],
)
async def test_what_can_be_seen_without_the_server_is_told_without_it(
    desk: Desk, server: FakeComfyUI, graph: dict, code: str
):
    with pytest.raises(BadParams) as caught:
        await desk.run(graph=graph)

    assert [problem.code for problem in caught.value.problems] == [code]
    assert server.prompts == []


async def test_a_node_that_fails_is_named_without_the_folders_of_the_server(desk: Desk):
    with pytest.raises(ProviderFailed) as caught:
        await desk.run(graph=workflow("fail_runtime"))

    error = caught.value
    assert error.code == "node_failed"
    assert error.message == (
        "In node 2 (SplitAudioChannels): AudioSplit: Input audio must be stereo, in nodes_audio.py (ValueError)"
    )
    assert error.facts["node"] == "2"
    assert "/srv" not in json.dumps([error.message, error.facts, desk.job.logs])


async def test_a_graphics_card_that_is_full_has_a_code_of_its_own(desk: Desk):
    graph = stepping()
    graph["5"] = {"class_type": "Raise", "inputs": {"image": ["1", 0], "message": "CUDA out of memory"}}

    with pytest.raises(ProviderFailed) as caught:
        await desk.run(graph=graph)

    assert caught.value.code == "out_of_memory"


async def test_a_failed_job_that_is_retried_by_hand_runs_again(desk: Desk, server: FakeComfyUI):
    graph = stepping()
    graph["5"] = {"class_type": "Raise", "inputs": {"image": ["1", 0], "message": "a bad day"}}
    for _ in range(2):
        with pytest.raises(ProviderFailed, match="a bad day"):
            await desk.run(graph=graph)

    assert len(set(server.accepted)) == 2


async def test_pages_of_other_sites_are_refused_and_we_are_not_one(desk: Desk, server: FakeComfyUI):
    await desk.run(graph=workflow("image_tiny"))
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{server.url}/queue", headers={"Origin": "https://example.com"})

    assert answer.status_code == 403


async def test_every_request_is_one_that_cannot_hurt_the_server(desk: Desk, server: FakeComfyUI):
    await desk.run(graph=workflow("image_tiny"))

    [request] = server.prompts
    assert isinstance(request["client_id"], str)
    assert isinstance(request["extra_data"], dict)
    assert "number" not in request
    assert request["prompt_id"] == request["prompt_id"].lower()
    assert request["client_id"] in server.client_ids


@pytest.mark.parametrize(
    ("said", "passed_on"),
    [
        ("No file at /home/me/ComfyUI/models/x.safetensors!", "No file at x.safetensors!"),
        (r"C:\Users\me\x.png is bad", "x.png is bad"),
        ("see https://example.com/a/b and 1/2", "see https://example.com/a/b and 1/2"),
        ("a\n  b", "a b"),
    ],
)
def test_folders_are_left_out_of_what_is_passed_on(said: str, passed_on: str):
    assert sanitize_text(said) == passed_on


async def test_a_file_the_server_does_not_take_is_told(desk: Desk, server: FakeComfyUI, tmp_path: Path):
    server.max_upload = 100
    (tmp_path / "big.bin").write_bytes(bytes(1000))

    with pytest.raises(Exception, match="--max-upload-size"):
        await desk.run(graph=workflow("image_tiny"), files={"1.note": str(tmp_path / "big.bin")})
