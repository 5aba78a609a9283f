"""ComfyUI jobs on the real server named by CALLSHEET_TEST_COMFYUI_URL, version 0.33 or newer. It needs no model.

`tools/try_comfyui.py` installs a version of ComfyUI, and runs these tests with it. CALLSHEET_TEST_COMFYUI_PATH and
CALLSHEET_TEST_COMFYUI_PYTHON name its code and its Python, for the tests that start a server themselves.
"""

import asyncio
import json
import os
import shutil
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from PIL import Image

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.editor_format import to_api_format
from callsheet.comfyui.health import check_servers
from callsheet.comfyui.known_nodes import KnownNodes
from callsheet.comfyui.node_schemas import check_graph, read_schemas
from callsheet.comfyui.pool import Pool
from callsheet.domain.errors import BadParams, OutputExpired, PromptLost, ProviderFailed, TimedOut
from callsheet.fakes.comfyui import running_comfyui
from callsheet.operations.comfyui.operation import ComfyUIParams, comfyui
from callsheet.operations.transcode import TranscodeParams, transcode
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.waiters import until

from .comfyui_wire import conversation

URL = os.environ.get("CALLSHEET_TEST_COMFYUI_URL")
CODE = os.environ.get("CALLSHEET_TEST_COMFYUI_PATH")
PYTHON = os.environ.get("CALLSHEET_TEST_COMFYUI_PYTHON")
NODES = Path(__file__).parent.parent / "support" / "comfyui_nodes.py"
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
    async with asyncio.timeout(240):
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
        ("fail_unknown_node", "graph.1", "missing_node_type"),
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
    assert (problem.path, problem.code) == (path, code)


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


def sleeping(seconds, steps=10):
    """Return a graph whose middle node takes some seconds, and reports so many steps."""
    graph = uncached("image_tiny")
    inputs = {"image": ["1", 0], "seconds": seconds, "steps": steps}
    graph["5"] = {"class_type": "CallsheetSleep", "inputs": inputs}
    graph["2"]["inputs"]["images"] = ["5", 0]
    return graph


def failing(how, message="failed"):
    graph = uncached("image_tiny")
    graph["5"] = {"class_type": "CallsheetFail", "inputs": {"image": ["1", 0], "how": how, "message": message}}
    graph["2"]["inputs"]["images"] = ["5", 0]
    return graph


@pytest.fixture
async def needs_test_nodes():
    if not await has_nodes(sleeping(1)):
        pytest.skip("the server lacks the nodes of tests/support/comfyui_nodes.py")


@pytest.fixture
async def managed(tmp_path):
    """A job of a worker that starts ComfyUI itself."""
    if CODE is None or PYTHON is None:
        pytest.skip("CALLSHEET_TEST_COMFYUI_PATH and CALLSHEET_TEST_COMFYUI_PYTHON are not set")
    base = tmp_path / "base"
    (base / "custom_nodes").mkdir(parents=True)
    shutil.copy(NODES, base / "custom_nodes" / "callsheet_tests.py")
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        comfyui_path=CODE,
        comfyui_python=PYTHON,
        comfyui_args="--cpu",
        comfyui_base_dir=base,
        comfyui_poll_interval=1,
    )
    async with Pool(settings) as pool:
        yield RecordingContext(tmp_path, settings=settings, comfyui=pool)


async def test_a_real_server_is_listed(job):
    async with Pool(job.settings) as pool:
        [health] = await check_servers(pool)

    assert (health.state, health.reason) == ("reachable", None)
    assert health.version


async def test_a_workflow_of_the_editor_runs(job):
    """Its values are those of the real `GET /object_info`."""
    nodes = [
        {"id": 1, "type": "EmptyImage", "inputs": [], "widgets_values": [48, 32, 1, 7]},
        {"id": 2, "type": "group", "inputs": [{"name": "image", "link": 1}], "outputs": [{"type": "IMAGE"}]},
        {"id": 3, "type": "SaveImage", "inputs": [{"name": "images", "link": 2}], "widgets_values": ["drawn"]},
    ]
    inner = {
        "id": "group",
        "inputs": [{"name": "image"}],
        "outputs": [{"name": "IMAGE"}],
        "nodes": [
            {
                "id": 4,
                "type": "ImageScale",
                "inputs": [{"name": "image", "link": 1}],
                "widgets_values": ["area", 24, 16, "disabled"],
            }
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 4, "target_slot": 0},
            {"id": 2, "origin_id": 4, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
    }
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]
    await asyncio.to_thread(KnownNodes(job.settings).ask_servers)

    result = await run(job, graph={"nodes": nodes, "links": links, "definitions": {"subgraphs": [inner]}})

    with Image.open(job.path_of(result.images[0])) as image:
        assert image.size == (24, 16)


async def test_every_blueprint_of_the_server_is_converted():
    """The files of the editor that come with ComfyUI. Their models are missing, and so are the images for them."""
    if CODE is None or not (files := sorted((Path(CODE) / "blueprints").glob("*.json"))):
        pytest.skip("CALLSHEET_TEST_COMFYUI_PATH is not set, or has no blueprints")
    async with ComfyUIClient(URL) as server:
        schemas = read_schemas(await server.object_info())
    wrong = []
    for file in files:
        data = json.loads(file.read_text())
        [use] = data["nodes"]
        for number, _ in enumerate(use["outputs"], 9000):
            data["nodes"].append({"id": number, "type": "PreviewAny", "inputs": [{"name": "source", "link": number}]})
            data["links"].append([number, use["id"], number - 9000, number, 0, "*"])
        graph = to_api_format(data, schemas)
        for fault in check_graph(graph, schemas):
            is_file = isinstance(fault.value, str) and "." in fault.value
            if fault.kind not in ("missing_input", "missing_model") and not is_file:
                wrong.append((file.name, fault.node, fault.class_type, fault.input, fault.value, fault.message))

    assert wrong == []


async def test_a_dataset_is_saved_beside_an_image(job):
    graph = uncached("image_tiny")
    inputs = {"images": ["1", 0], "folder_name": "set", "filename_prefix": "im", "mode": "overwrite"}
    graph["3"] = {"class_type": "SaveImageDataSetToFolder", "inputs": inputs}
    if not await has_nodes(graph):
        pytest.skip("this server's version lacks a node")

    assert len((await run(job, graph=graph)).images) == 1


async def test_different_frames_become_one_animated_webp(job, tmp_path):
    graph = workflow("anim_webp")
    for number in range(4):
        inputs = {"width": 64, "height": 64, "batch_size": 1, "color": 0x3F * (number + 1) << 8}
        graph[str(20 + number)] = {"class_type": "EmptyImage", "inputs": inputs}
    graph["30"] = {"class_type": "ImageBatch", "inputs": {"image1": ["20", 0], "image2": ["21", 0]}}
    graph["31"] = {"class_type": "ImageBatch", "inputs": {"image1": ["22", 0], "image2": ["23", 0]}}
    graph["32"] = {"class_type": "ImageBatch", "inputs": {"image1": ["30", 0], "image2": ["31", 0]}}
    graph["2"]["inputs"] |= {"images": ["32", 0], "fps": 4.0}
    del graph["1"]

    [animation] = (await run(job, graph=graph)).images

    assert animation.probe is not None
    assert animation.probe.duration == pytest.approx(1.0, abs=0.01)
    job.steps.clear()
    film = await transcode.run(job, TranscodeParams(src=str(job.path_of(animation)), format="mp4"))
    assert film.video.probe.duration == pytest.approx(1.0, abs=0.05)


@pytest.mark.usefixtures("needs_test_nodes")
async def test_progress_names_the_node_and_never_falls(job):
    result = await run(job, graph=sleeping(2, steps=8))

    done = [report.done for report in job.progress_reports]
    assert len(result.images) == 1
    assert done == sorted(done)
    assert any(report.message == "CallsheetSleep (node 5)" for report in job.progress_reports)
    assert sum(0.1 < each < 0.9 for each in done) >= 6


@pytest.mark.usefixtures("needs_test_nodes")
async def test_escape_sequences_of_a_node_reach_no_error(job):
    with pytest.raises(ProviderFailed) as caught:
        await run(job, graph=failing("error", "\x1b]0;owned\x07\x1b[2Jno more"))

    assert "no more" in caught.value.message
    assert "\x1b" not in caught.value.message and "owned" not in caught.value.message
    assert (caught.value.facts["node"], caught.value.facts["exception"]) == ("5", "ValueError")


@pytest.mark.usefixtures("needs_test_nodes")
async def test_the_time_limit_interrupts_the_node(job):
    with pytest.raises(TimedOut, match="timeout of 1 s"):
        await run(job, graph=sleeping(30, steps=100), timeLimit=1)

    async with ComfyUIClient(URL) as server:
        async with asyncio.timeout(20):
            while await server.queue_depth():  # noqa: ASYNC110 - the server is polled
                await asyncio.sleep(0.1)  # sleep: the server ends the prompt


async def test_a_managed_server_runs_jobs_and_keeps_escape_sequences_to_itself(managed):
    result = await run(managed, graph=workflow("video_mp4"))

    assert result.server == "own"
    assert len(result.videos) == 1
    log = "\n".join(line["message"] for line in managed.logs)
    assert "To see the GUI go to" in log
    assert "\x1b" not in log
    assert any(report.message == "the worker's ComfyUI is starting" for report in managed.progress_reports)


async def test_a_process_that_a_node_ends_is_started_again_at_once(managed):
    with pytest.raises(PromptLost, match="signal 9"):
        await run(managed, graph=failing("process"))
    managed.steps.clear()
    managed.id = uuid4()

    assert len((await run(managed, graph=workflow("image_tiny"))).images) == 1
    assert managed.comfyui.servers[0].managed.start_count == 2


async def test_a_dead_executor_is_reported_and_replaced_after_a_cancel(managed):
    """The first prompt ends the thread that runs prompts, without a word, and stays in the queue as running."""
    managed.settings.comfyui_silence_limit = timedelta(seconds=3)
    first = asyncio.create_task(run(managed, graph=failing("thread")))
    await until(lambda: any("No sign of life" in line["message"] for line in managed.logs), timeout=120)
    first.cancel("cancelled")
    await asyncio.gather(first, return_exceptions=True)
    managed.steps.clear()
    managed.id = uuid4()

    assert len((await run(managed, graph=workflow("image_tiny"))).images) == 1


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
