"""Upscale by a workflow on a fake ComfyUI server: each frame at its time, audio bit for bit, wrong answers named."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media.studio import Studio

from callsheet.comfyui.pool import Pool
from callsheet.domain.errors import BadParams, CallsheetError, JobError, ProviderFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.media.enhancement.remote_parts import extract_part
from callsheet.media.enhancement.requests import ExtractRequest, Part
from callsheet.media.enhancement.video_source import video_source
from callsheet.media.probing.probe import probe_details
from callsheet.operation_api.contract import ChildJob, RunChildJobs
from callsheet.operations.upscale import upscale
from callsheet.operations.upscale_comfyui_part import upscale_comfyui_part
from callsheet.operations.upscale_params import UpscaleResult
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

TEMPLATES = Path(__file__).parents[3] / "src/callsheet/comfyui/templates"
TWICE = {"engine": "comfyui", "model": "RealESRGAN_x2plus.pth", "crf": 1, "preset": "ultrafast", "partFrames": 8}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeComfyUI]:
    async with running_comfyui(tmp_path / "server") as running:
        yield running


@pytest.fixture
def workflows(tmp_path: Path) -> Path:
    """A folder with the shipped workflow, for more of them."""
    folder = tmp_path / "workflows"
    folder.mkdir()
    for path in TEMPLATES.glob("upscale.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
async def job(tmp_path: Path, server: FakeComfyUI, workflows: Path) -> AsyncIterator[RecordingContext]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        comfyui_api_url=server.url,
        comfyui_workflows=workflows,
        comfyui_poll_interval=0.2,
    )
    async with Pool(settings) as pool:
        yield RecordingContext(tmp_path, operation="upscale", settings=settings, comfyui=pool)


@pytest.fixture(scope="module")
def clip(studio: Studio) -> Path:
    """A clip of 10 frames with B-frames, at uneven times, with audio."""
    return studio.make(
        "uneven.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=20:duration=0.5"),
        *("-f", "lavfi", "-i", "sine=frequency=440:duration=0.6"),
        *("-vf", "settb=1/1000,setpts=N*50+13*mod(N\\,3)", "-fps_mode", "vfr", "-enc_time_base", "1:1000"),
        *("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k"),
    )


def own_workflow(folder: Path, name: str, changes: dict[str, Any]) -> None:
    """Store the shipped workflow under another name, with changed nodes. None removes a node."""
    graph = json.loads((TEMPLATES / "upscale.json").read_text()) | changes
    (folder / f"{name}.json").write_text(json.dumps({key: node for key, node in graph.items() if node}))
    (folder / f"{name}.inputs.yaml").write_bytes((TEMPLATES / "upscale.inputs.yaml").read_bytes())


async def make_part(job: RecordingContext, child: ChildJob) -> dict[str, Any]:
    """Run a child job in a context of its own."""
    folder = job.dir.parent / f"child-{len(job.kept)}-{child.id}"
    own = RecordingContext(folder, operation=child.operation, settings=job.settings, comfyui=job.comfyui)
    own.cache = job.cache
    async with asyncio.timeout(60):
        part = await upscale_comfyui_part.run(own, validate_params(child.params, upscale_comfyui_part.params))
    kept = await job.keep(own.path_of(part.video))
    return {**part.model_dump(mode="json", by_alias=True), "video": kept.model_dump(mode="json", by_alias=True)}


async def children(job: RecordingContext, source: Path, **params: object) -> list[ChildJob]:
    job.children_done = False
    with pytest.raises(RunChildJobs) as raised:
        await upscale.run(job, validate_params({"src": str(source), **TWICE, **params}, upscale.params))
    return list(raised.value.jobs)


async def run(job: RecordingContext, source: Path, **params: object) -> tuple[UpscaleResult, Path]:
    """Run the operation with its child jobs."""
    made = {child.id: await make_part(job, child) for child in await children(job, source, **params)}
    job.children_done, job.results_of_children = True, made
    result = await upscale.run(job, validate_params({"src": str(source), **TWICE, **params}, upscale.params))
    return result, job.path_of(result.video)


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def pixels(path: Path) -> np.ndarray:
    """Return the brightness of all pixels, by frame, row and column."""
    with av.open(str(path)) as container:
        return np.array([frame.to_ndarray(format="gray") for frame in container.decode(video=0)], np.float32)


def audio(path: Path) -> list[tuple[float, str]]:
    """Return time and digest of each packet of the audio."""
    with av.open(str(path)) as container:
        return [
            (round(float(packet.pts * packet.time_base), 6), hashlib.sha256(bytes(packet)).hexdigest())
            for packet in container.demux(audio=0)
            if packet.size
        ]


async def test_every_frame_keeps_its_time_and_the_audio_its_bytes_and_a_second_run_needs_no_server(job, server, clip):
    result, path = await run(job, clip)

    assert (result.engine, result.frames, result.parts, result.cached, result.copied) == ("comfyui", 10, 2, 0, 1)
    assert (result.file.probe.width, result.file.probe.height) == (128, 96)
    assert (result.model, result.device) == ("RealESRGAN_x2plus.pth", job.comfyui.servers[0].name)
    assert times(path) == times(clip)
    assert audio(path) == audio(clip)
    wanted = pixels(clip).repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(pixels(path) - wanted).mean(axis=(1, 2)).max() < 2
    assert [each["prompt"]["3"]["inputs"]["model_name"] for each in server.prompt_requests] == [TWICE["model"]] * 2

    again, same = await run(job, clip)

    assert (again.cached, again.device, again.frames) == (2, None, 10)
    assert same.read_bytes() == path.read_bytes()
    assert len(server.prompt_requests) == 2


async def test_a_server_gets_the_frames_as_players_show_them_and_without_loss(studio, tmp_path):
    generated = ("-f", "lavfi", "-i", "testsrc=size=63x48:rate=20:duration=0.2")
    wide = studio.make("wide.mp4", *generated, "-c:v", "libx264", "-qp", "1", "-pix_fmt", "yuv444p")
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-display_hflip", "-i", str(wide), "-c", "copy")
    source, path = video_source(await probe_details(turned)), tmp_path / "part.mp4"

    (facts,) = extract_part(ExtractRequest(source, Part(0, 0, None), 1, str(path)))

    assert facts["size"] == [48, 63]
    assert len(facts["times"]) == 4
    assert np.abs(pixels(path) - studio.gray_frames(turned, size=(48, 63))).mean() < 1


async def test_a_smaller_scale_reduces_what_the_workflow_returns(job, clip):
    result, _ = await run(job, clip, scale=1.5, partFrames=20)

    assert (result.file.probe.width, result.file.probe.height) == (96, 72)
    (child,) = await children(job, clip, scale=3, partFrames=20)
    with pytest.raises(BadParams, match="3 times as large is more"):
        await make_part(job, child)


async def test_a_workflow_of_ones_own_may_return_a_video(job, workflows, clip):
    own_workflow(
        workflows,
        "film",
        {
            "5": {"class_type": "CreateVideo", "inputs": {"images": ["4", 0], "fps": 25}},
            "6": {
                "class_type": "SaveVideo",
                "inputs": {"video": ["5", 0], "filename_prefix": "up", "format": "mp4", "codec": "h264"},
            },
        },
    )

    result, path = await run(job, clip, workflow="film", partFrames=20)

    assert (result.frames, result.file.probe.width) == (10, 128)
    assert times(path) == times(clip)


async def test_a_workflow_that_loses_frames_fails_with_both_numbers(job, workflows, clip):
    one = {"class_type": "EmptyImage", "inputs": {"width": 128, "height": 96, "batch_size": 7, "color": 0}}
    own_workflow(workflows, "short", {"4": one})
    (child,) = await children(job, clip, workflow="short", partFrames=20)

    with pytest.raises(ProviderFailed, match="returned 7 frames for 10") as failed:
        await make_part(job, child)

    assert failed.value.code == "wrong_frame_count"
    job.children_done, job.results_of_children = True, {"part-1": None}
    with pytest.raises(ProviderFailed, match="part 1 of 1; see the job tested/part-1"):
        await upscale.run(job, validate_params({**child.params["video"]}, upscale.params))


async def test_an_error_of_the_server_and_a_missing_model_are_named(job, workflows, clip):
    fails = {"class_type": "Raise", "inputs": {"image": ["2", 0], "message": "the card is broken"}}
    own_workflow(workflows, "broken", {"4": fails})

    expected: list[tuple[dict[str, Any], type[CallsheetError] | type[JobError], str]] = [
        ({"workflow": "broken"}, ProviderFailed, "the card is broken"),
        ({"model": "other.pth"}, BadParams, "video.model"),
    ]
    for params, error, message in expected:
        (child,) = await children(job, clip, partFrames=20, **params)
        with pytest.raises(error) as failed:
            await make_part(job, child)
        assert message in f"{failed.value} {getattr(failed.value, 'problems', '')}"


async def test_the_frames_of_a_part_fit_into_the_memory_of_a_server(job, studio):
    large = studio.clip("large.mp4", "color=black:size=3840x2160:rate=20", seconds=0.5)

    params = validate_params({"src": str(large), "engine": "comfyui"}, upscale.params)
    with pytest.raises(RunChildJobs) as raised:
        await upscale.run(job, params)

    # 50 million pixels are 6 such frames.
    assert [child.params["video"]["partFrames"] for child in raised.value.jobs] == [6, 6]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"workflow": "mine"}, "only the engine comfyui has workflow"),
        ({"engine": "comfyui", "tile": 64}, "only the engine local has tile"),
        ({"engine": "comfyui", "inputs": {"video": "a"}}, "is set by src and model"),
    ],
)
def test_params_of_the_other_engine_are_refused(params, message):
    with pytest.raises(BadParams) as refused:
        validate_params({"src": "a.mp4", **params}, upscale.params)

    assert message in str([problem.message for problem in refused.value.problems])


async def test_what_the_workflow_does_not_have_is_refused_before_any_part(job, clip, studio):
    picture = studio.make("still.png", "-f", "lavfi", "-i", "testsrc=size=32x32:duration=1", "-frames:v", "1")
    for source, params, field in (
        (clip, {"inputs": {"weight": 0.5}}, "inputs.weight"),
        (clip, {"workflow": "upscail"}, "workflow"),
        (picture, {}, "src"),
    ):
        with pytest.raises(BadParams) as refused:
            await upscale.run(job, validate_params({"src": str(source), **TWICE, **params}, upscale.params))
        assert refused.value.problems[0].path == field
