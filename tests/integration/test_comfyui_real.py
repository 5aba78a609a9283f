"""ComfyUI jobs on the real server named by CALLSHEET_TEST_COMFYUI_URL. It needs no model."""

import asyncio
import json
import os
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from PIL import Image

from callsheet.comfyui.client import ComfyUIClient
from callsheet.domain.errors import BadParams, OutputExpired, ProviderFailed
from callsheet.fakes.comfyui import running_comfyui
from callsheet.operations.comfyui.operation import ComfyUIParams, comfyui
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.waiters import until

from .comfyui_wire import conversation

URL = os.environ.get("CALLSHEET_TEST_COMFYUI_URL")
WORKFLOWS = Path(__file__).parent.parent / "unit" / "comfyui" / "workflows"

pytestmark = pytest.mark.skipif(URL is None, reason="CALLSHEET_TEST_COMFYUI_URL is not set")


def workflow(name):
    return json.loads((WORKFLOWS / f"{name}.json").read_text())


def uncached(name):
    """Return a graph with a random color, which the server has not cached."""
    graph = workflow(name)
    graph["1"]["inputs"]["color"] = int(uuid4()) % 0xFFFFFF
    return graph


def long_chain(nodes=40):
    graph = uncached("image_tiny")
    graph["1"]["inputs"] |= {"width": 512, "height": 512}
    previous = "1"
    for number in range(10, 10 + nodes):
        inputs = {"image": [previous, 0], "blur_radius": 31, "sigma": 10.0}
        graph[previous := str(number)] = {"class_type": "ImageBlur", "inputs": inputs}
    graph["2"]["inputs"]["images"] = [previous, 0]
    return graph


@pytest.fixture
def job(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", comfyui_api_url=URL, comfyui_poll_interval=1)
    return RecordingContext(tmp_path, settings=settings)


async def run(job, **params):
    async with asyncio.timeout(120):
        return await comfyui.run(job, ComfyUIParams(**params))


async def has_nodes(graph):
    async with httpx2.AsyncClient(timeout=60) as client:
        known = (await client.get(f"{URL}/object_info")).json()
    return all(node["class_type"] in known for node in graph.values())


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("image_tiny", ["image"]),
        ("image_batch3", ["image"] * 3),
        ("image_preview_temp", ["image"]),
        ("anim_webp", ["image"]),
        ("video_mp4", ["video"]),
        ("video_webm", ["video"]),
        ("audio_flac", ["audio"]),
        ("audio_preview", ["audio"]),
        ("latent_save", ["other"]),
        ("text_preview", []),
        ("multi_output", ["image", "audio"]),
    ],
)
async def test_every_kind_of_output_is_stored(job, name, kinds):
    graph = workflow(name)
    if not await has_nodes(graph):
        pytest.skip("this server's version lacks a node")

    for _ in range(2):  # the second time from the server's cache
        result = await run(job, graph=graph)
        assert [file.kind for file in result.files] == kinds
        job.steps.clear()
        job.id = uuid4()
    assert job.progress_reports[-1].done > 0.9


async def test_an_uploaded_image_is_returned_resized(job, tmp_path):
    Image.new("RGB", (40, 40), (0, 200, 0)).save(tmp_path / "in ü.png")

    result = await run(job, graph=workflow("image_load_scale_save"), files={"1.image": str(tmp_path / "in ü.png")})

    with Image.open(job.path_of(result.images[0])) as image:
        assert (image.size, image.getpixel((3, 3))) == ((96, 96), (0, 200, 0))


@pytest.mark.parametrize(
    ("name", "path", "code"),
    [
        ("fail_unknown_node", "graph", "invalid_prompt"),
        ("fail_no_output_node", "graph", "prompt_no_outputs"),
        ("fail_missing_input", "graph.2.images", "required_input_missing"),
        ("fail_not_in_list", "graph.2.upscale_method", "value_not_in_list"),
        ("fail_missing_file", "graph.1.image", "custom_validation_failed"),
        ("fail_partial_one_bad_output", "graph.3.image", "custom_validation_failed"),
    ],
)
async def test_problems_are_reported_before_anything_runs(job, name, path, code):
    with pytest.raises(BadParams) as caught:
        await run(job, graph=workflow(name))

    problem = caught.value.problems[0]
    assert problem.code in (code, "missing_node_type")
    assert problem.path in (path, "graph.1")


async def test_a_failed_node_is_named(job, tmp_path):
    (tmp_path / "not an image.png").write_text("this is not an image")
    async with ComfyUIClient(URL) as server:
        name = await server.upload(tmp_path / "not an image.png", f"{uuid4().hex}.png")
    graph = workflow("image_load_scale_save")
    graph["1"]["inputs"]["image"] = name

    with pytest.raises((ProviderFailed, BadParams)) as caught:
        await run(job, graph=graph)
    assert "LoadImage" in str(caught.value)
    assert "Traceback" not in str(caught.value)


async def test_a_cancelled_job_cancels_its_prompt_only(job):
    work = asyncio.create_task(run(job, graph=long_chain()))
    await until(lambda: any(0 < report.done < 0.9 for report in job.progress_reports), timeout=60)
    async with ComfyUIClient(URL) as server:
        other_prompt = await server.submit(uncached("image_tiny"), str(uuid4()), "other-client")
        work.cancel("cancelled")
        await asyncio.gather(work, return_exceptions=True)

        assert work.cancelled()
        entry = None
        async with asyncio.timeout(60):
            while entry is None:
                entry = await server.get_history(other_prompt)
        assert entry["status"]["status_str"] == "success"


async def test_a_later_run_resumes_the_prompt(job):
    work = asyncio.create_task(run(job, graph=long_chain(8)))
    await until(lambda: any(0 < report.done < 0.9 for report in job.progress_reports), timeout=60)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)

    result = await run(job, graph=long_chain(8))

    assert len(result.images) == 1
    assert [line["message"] for line in job.logs].count("ComfyUI has the prompt") == 1


async def test_deleted_output_files_are_reported(job, monkeypatch):
    from callsheet.comfyui import outputs

    real = outputs._files
    monkeypatch.setattr(
        outputs, "_files", lambda *given: (outputs.OutputFile(f.node, f"x{f.filename}") for f in real(*given))
    )

    with pytest.raises(OutputExpired, match="does not have it"):
        await run(job, graph=uncached("image_tiny"))


@pytest.mark.parametrize(
    "name",
    [
        "image_tiny",
        "image_batch3",
        "image_preview_temp",
        "anim_webp",
        "video_mp4",
        "video_webm",
        "audio_flac",
        "latent_save",
        "text_preview",
        "fail_unknown_node",
        "fail_no_output_node",
        "fail_not_in_list",
        "fail_missing_file",
        "fail_missing_input",
    ],
)
async def test_the_fake_sends_the_same_messages_as_the_real_server(name, tmp_path):
    """Compare all messages, with and without cached nodes."""
    graph = uncached(name) if "color" in workflow(name)["1"]["inputs"] else workflow(name)
    if not name.startswith("fail") and not await has_nodes(graph):
        pytest.skip("this server's version lacks a node")
    async with running_comfyui(tmp_path) as fake:
        for _ in range(2):
            real, other = await conversation(URL, graph), await conversation(fake.url, graph)
            if name == "text_preview" and len(real[0]) != len(other[0]):
                continue  # it has no random color, so the real server may have cached it
            assert other == real
