"""Files of every kind come here, whatever the nodes call them."""

from pathlib import Path

import pytest
from PIL import Image

from callsheet.comfyui.outputs import prompt_outputs
from callsheet.domain.errors import OutputExpired, ProviderFailed
from callsheet.fakes.comfyui import FakeComfyUI

from .conftest import Desk, workflow


async def test_a_picture_comes_with_its_pixels(desk: Desk):
    result = await desk.run(graph=workflow("image_tiny"))

    [picture] = result.images
    with Image.open(desk.job.path_of(picture)) as image:
        assert image.size == (64, 64)
        assert image.convert("RGB").getpixel((5, 5)) == (0x33, 0x66, 0xCC)
    assert result.files[0].node == "2"
    assert desk.shares == sorted(desk.shares)
    assert desk.shares[-1] == 1


@pytest.mark.parametrize(
    ("name", "group", "media_type"),
    [
        ("video_mp4", "videos", "video/mp4"),
        ("video_webm", "videos", "video/webm"),
        ("anim_webp", "images", "image/webp"),
        ("audio_flac", "audio", "audio/flac"),
        ("latent_save", "others", "application/octet-stream"),
    ],
)
async def test_every_kind_of_file_is_sorted_by_what_it_is(desk: Desk, name: str, group: str, media_type: str):
    result = await desk.run(graph=workflow(name))

    [artifact] = getattr(result, group)
    assert artifact.media_type == media_type
    assert artifact.size > 0
    assert len(result.files) == 1


async def test_a_video_plays_for_its_second(desk: Desk):
    [video] = (await desk.run(graph=workflow("video_mp4"))).videos

    assert video.probe is not None
    assert (video.probe.width, video.probe.height, video.probe.duration) == (64, 64, 1.0)


async def test_nodes_that_speak_of_gifs_are_heard_too(desk: Desk):
    graph = workflow("image_batch3")
    graph["2"] = {"class_type": "VHS_VideoCombine", "inputs": {"images": ["1", 0], "filename_prefix": "vhs"}}

    [video] = (await desk.run(graph=graph)).videos

    assert video.name == "vhs_00001_.mp4"


async def test_several_outputs_keep_the_order_of_their_nodes_and_previews_stay_behind(desk: Desk):
    result = await desk.run(graph=workflow("multi_output"))

    assert [(file.node, file.kind) for file in result.files] == [("2", "image"), ("5", "audio")]
    assert result.texts == {"7": "7"}


async def test_previews_come_when_asked_for_and_when_there_is_nothing_else(desk: Desk):
    asked = await desk.run(graph=workflow("multi_output"), previews=True)
    desk.new_job()
    alone = await desk.run(graph=workflow("image_preview_temp"))

    assert [file.node for file in asked.files] == ["2", "3", "5"]
    assert len(alone.images) == 1


async def test_text_alone_is_a_result(desk: Desk):
    result = await desk.run(graph=workflow("text_preview"))

    assert result.texts == {"2": "hello"}
    assert result.files == []


async def test_not_a_number_and_megabytes_in_an_answer_do_no_harm(desk: Desk, server: FakeComfyUI):
    graph = workflow("image_tiny")
    graph["3"] = {"class_type": "NotANumber", "inputs": {"image": ["1", 0]}}
    graph["4"] = {"class_type": "Loud", "inputs": {"image": ["1", 0], "megabytes": 3}}

    result = await desk.run(graph=graph)

    assert result.texts == {"3": "seen", "4": "heard"}
    # A message that is too large for a websocket with a limit closes it.
    assert len(server.client_ids) == 1


async def test_the_same_graph_again_saves_files_of_its_own(desk: Desk, server: FakeComfyUI):
    first = await desk.run(graph=workflow("image_tiny"))
    for path in list(server.output.rglob("*.png")):
        path.unlink()
    desk.new_job()
    runs = server.executor.runs
    second = await desk.run(graph=workflow("image_tiny"))

    assert len(first.images) == len(second.images) == 1
    assert server.executor.runs == runs + 1, "only the node that saves is run anew"


async def test_a_cached_answer_whose_files_are_gone_is_told_and_never_taken_for_a_result(
    desk: Desk, server: FakeComfyUI
):
    await desk.run(graph=workflow("image_tiny"), unique_names=False)
    for path in server.output.rglob("*.png"):
        path.unlink()
    desk.new_job()

    with pytest.raises(OutputExpired, match="all its nodes were cached"):
        await desk.run(graph=workflow("image_tiny"), unique_names=False)


async def test_an_empty_file_is_no_result(desk: Desk):
    with pytest.raises(ProviderFailed, match="is empty") as caught:
        await desk.run(graph={"1": {"class_type": "SaveNothing", "inputs": {"filename_prefix": "x"}}})

    assert caught.value.code == "empty_file"


async def test_a_closed_branch_is_told_and_the_rest_goes_on(desk: Desk):
    graph = workflow("multi_output")
    graph["8"] = {"class_type": "Block", "inputs": {"image": ["1", 0], "message": "no faces were found"}}
    graph["2"]["inputs"]["images"] = ["8", 0]

    result = await desk.run(graph=graph)

    assert [file.node for file in result.files] == ["5"]
    assert "no faces were found" in desk.told


async def test_a_graph_whose_every_branch_is_closed_made_nothing(desk: Desk):
    graph = workflow("image_tiny")
    graph["8"] = {"class_type": "Block", "inputs": {"image": ["1", 0], "message": "no"}}
    graph["2"]["inputs"]["images"] = ["8", 0]

    with pytest.raises(ProviderFailed) as caught:
        await desk.run(graph=graph)

    assert caught.value.code == "no_output"


async def test_a_file_larger_than_sources_may_be_is_refused(server: FakeComfyUI, tmp_path: Path):
    small = Desk(tmp_path, comfyui_api_url=server.url, source_max_bytes=100)

    with pytest.raises(OutputExpired, match="more than the 100 bytes"):
        await small.run(graph=workflow("image_tiny"))


def test_outputs_of_nodes_inside_of_a_node_are_named_by_the_one_that_was_sent():
    entry = {
        "prompt": [0, "id", {"1": {}}, {}, ["1"]],
        "outputs": {"1.0.0.4": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}},
        "meta": {"1.0.0.4": {"node_id": "1.0.0.4", "display_node": "1", "parent_node": "1"}},
    }

    [file] = prompt_outputs(entry).files

    assert file.node == "1"


def test_what_is_no_file_is_passed_over():
    entry = {"outputs": {"1": {"animated": [True], "letters": list("path"), "text": list("path"), "a": None}}}

    made = prompt_outputs(entry)

    assert made.files == ()
    assert made.texts == {"1": "path"}


def test_text_that_no_database_stores_is_made_fit():
    assert prompt_outputs({"outputs": {"1": {"text": ["a\0b", "\ud800"]}}}).texts == {"1": "a\N{SYMBOL FOR NULL}b\n?"}
