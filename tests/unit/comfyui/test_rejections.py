"""Rejected prompts and failed nodes are reported with node, input and reason."""

import json
from pathlib import Path

import httpx2
import pytest

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.parsing import sanitize_text
from callsheet.domain.errors import BadParams, ProviderFailed, ProviderUnreachable
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui

from .conftest import JobRunner, stepping, workflow


@pytest.mark.parametrize(
    ("name", "path", "code", "text"),
    [
        ("fail_unknown_node", "graph.1", "missing_node_type", "'NoSuchNode' not found"),
        ("fail_no_output_node", "graph", "prompt_no_outputs", "SaveImage"),
        ("fail_missing_input", "graph.2.images", "required_input_missing", "SaveImage: Required input is missing"),
        ("fail_not_in_list", "graph.2.upscale_method", "value_not_in_list", "'magic' not in"),
        ("fail_missing_file", "graph.1.image", "custom_validation_failed", "does_not_exist.png"),
    ],
)
async def test_problems_of_the_servers_validation_are_reported(
    runner: JobRunner, name: str, path: str, code: str, text: str
):
    with pytest.raises(BadParams) as caught:
        await runner.run(graph=workflow(name))

    [problem] = caught.value.problems
    assert (problem.path, problem.code) == (path, code)
    assert text in problem.message


async def test_all_problems_of_a_graph_are_reported_at_once(runner: JobRunner):
    graph = workflow("fail_not_in_list")
    graph["1"]["inputs"] |= {"width": 0, "height": "tall"}

    with pytest.raises(BadParams) as caught:
        await runner.run(graph=graph)

    assert {problem.path for problem in caught.value.problems} == {
        "graph.1.width",
        "graph.1.height",
        "graph.2.upscale_method",
    }


async def test_a_graph_with_one_invalid_output_does_not_run_at_all(runner: JobRunner, server: FakeComfyUI):
    graph = stepping()
    graph |= {"3": workflow("fail_missing_file")["1"]}
    graph["4"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "bad"}}

    with pytest.raises(BadParams, match="does_not_exist"):
        await runner.run(graph=graph)

    assert len(server.accepted) == 1
    assert server.executor.remaining == 0
    assert not list(server.output.rglob("*.png"))


async def test_a_rejected_prompt_that_cannot_be_cancelled_goes_to_no_other_server(
    server: FakeComfyUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def fail(*_: object) -> None:
        raise ProviderUnreachable("gone")

    monkeypatch.setattr(ComfyUIClient, "cancel", fail)
    graph = workflow("image_tiny") | {"3": workflow("fail_missing_file")["1"]}
    graph["4"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "bad"}}
    async with running_comfyui(tmp_path / "other") as other:
        runner = JobRunner(tmp_path, comfyui_api_url=f"{server.url},{other.url}")
        with pytest.raises(BadParams, match="does_not_exist"):
            await runner.run(graph=graph)

        assert len(server.prompt_requests + other.prompt_requests) == 1


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
async def test_problems_visible_without_the_server_are_reported_without_it(
    runner: JobRunner, server: FakeComfyUI, graph: dict, code: str
):
    with pytest.raises(BadParams) as caught:
        await runner.run(graph=graph)

    assert [problem.code for problem in caught.value.problems] == [code]
    assert server.prompt_requests == []


async def test_a_failed_node_is_reported_without_folders_of_the_server(runner: JobRunner):
    with pytest.raises(ProviderFailed) as caught:
        await runner.run(graph=workflow("fail_runtime"))

    error = caught.value
    assert error.code == "node_failed"
    assert error.message == (
        "In node 2 (SplitAudioChannels): AudioSplit: Input audio must be stereo, in nodes_audio.py (ValueError)"
    )
    assert error.facts["node"] == "2"
    assert "/srv" not in json.dumps([error.message, error.facts, runner.job.logs])


async def test_a_failed_node_cannot_send_escape_sequences(runner: JobRunner):
    graph = stepping()
    message = "\x1b]0;owned\x07\x1b[2Jbad \x9b31mday"
    graph["5"] = {"class_type": "Raise", "inputs": {"image": ["1", 0], "message": message}}

    with pytest.raises(ProviderFailed, match=r": bad day \(") as caught:
        await runner.run(graph=graph)

    assert "owned" not in f"{caught.value} {caught.value.facts} {runner.job.logs} {runner.job.progress_reports}"


async def test_out_of_memory_has_its_own_code(runner: JobRunner):
    graph = stepping()
    graph["5"] = {"class_type": "Raise", "inputs": {"image": ["1", 0], "message": "CUDA out of memory"}}

    with pytest.raises(ProviderFailed) as caught:
        await runner.run(graph=graph)

    assert caught.value.code == "out_of_memory"


async def test_a_failed_job_runs_again_after_a_manual_retry(runner: JobRunner, server: FakeComfyUI):
    graph = stepping()
    graph["5"] = {"class_type": "Raise", "inputs": {"image": ["1", 0], "message": "a bad day"}}
    for _ in range(2):
        with pytest.raises(ProviderFailed, match="a bad day"):
            await runner.run(graph=graph)

    assert len(set(server.accepted)) == 2


async def test_the_fake_rejects_cross_site_requests_and_the_client_sends_none(runner: JobRunner, server: FakeComfyUI):
    await runner.run(graph=workflow("image_tiny"))
    async with httpx2.AsyncClient() as client:
        response = await client.get(f"{server.url}/queue", headers={"Origin": "https://example.com"})

    assert response.status_code == 403


async def test_submissions_contain_no_field_that_breaks_the_server(runner: JobRunner, server: FakeComfyUI):
    await runner.run(graph=workflow("image_tiny"))

    [request] = server.prompt_requests
    assert isinstance(request["client_id"], str)
    assert isinstance(request["extra_data"], dict)
    assert "number" not in request
    assert request["prompt_id"] == request["prompt_id"].lower()
    assert request["client_id"] in server.client_ids


@pytest.mark.parametrize(
    ("text", "sanitized"),
    [
        ("No file at /home/me/ComfyUI/models/x.safetensors!", "No file at x.safetensors!"),
        (r"C:\Users\me\x.png is bad", "x.png is bad"),
        ("see https://example.com/a/b and 1/2", "see https://example.com/a/b and 1/2"),
        ("a\n  b", "a b"),
    ],
)
def test_folders_are_removed_from_texts(text: str, sanitized: str):
    assert sanitize_text(text) == sanitized


async def test_a_rejected_upload_is_reported(runner: JobRunner, server: FakeComfyUI, tmp_path: Path):
    server.max_upload = 100
    (tmp_path / "big.bin").write_bytes(bytes(1000))

    with pytest.raises(Exception, match="--max-upload-size of ComfyUI, and client_max_body_size of nginx"):
        await runner.run(graph=workflow("image_tiny"), files={"2.filename_prefix": str(tmp_path / "big.bin")})
