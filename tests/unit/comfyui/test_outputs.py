"""Output files of every kind are stored, under whatever key the node lists them."""

from pathlib import Path

import pytest
from PIL import Image

from callsheet.comfyui.outputs import prompt_outputs
from callsheet.domain.errors import BadOutput, OutputExpired, ProviderFailed, Transient
from callsheet.fakes.comfyui import FakeComfyUI

from .conftest import JobRunner, workflow


async def test_names_are_unique_also_where_a_node_makes_no_folders(runner: JobRunner, server: FakeComfyUI):
    graph = workflow("image_tiny")
    inputs = {"images": ["1", 0], "folder_name": "set", "filename_prefix": "a/im", "mode": "overwrite"}
    graph["3"] = {"class_type": "SaveImageDataSetToFolder", "inputs": inputs}

    result = await runner.run(graph=graph)

    assert len(result.images) == 1
    [saved] = (server.output / "set").iterdir()
    assert saved.name == f"callsheet-{result.prompt_id}-im_00000.png"
    assert (server.output / "callsheet" / result.prompt_id).is_dir()


async def test_files_of_nodes_with_a_folder_of_their_own_get_their_plain_names(runner: JobRunner, server: FakeComfyUI):
    graph = workflow("image_tiny")
    graph["2"]["inputs"] |= {"filename_prefix": "pictures/film", "output_path": "kept"}

    [artifact] = (await runner.run(graph=graph)).images

    assert artifact.name.startswith("film_")
    [request] = server.prompt_requests
    assert request["prompt"]["2"]["inputs"]["filename_prefix"].startswith("callsheet-")


async def test_a_node_that_makes_no_folder_for_its_prefix_is_explained(runner: JobRunner):
    graph = workflow("image_tiny")
    inputs = {"image": ["1", 0], "message": "[Errno 2] No such file or directory: 'callsheet/1/im.png'"}
    graph["3"] = {"class_type": "Raise", "inputs": inputs | {"filename_prefix": "im"}}
    graph["2"]["inputs"]["images"] = ["3", 0]

    with pytest.raises(ProviderFailed, match="`uniqueNames: false` uses none"):
        await runner.run(graph=graph)


async def test_an_image_arrives_unchanged(runner: JobRunner):
    result = await runner.run(graph=workflow("image_tiny"))

    [artifact] = result.images
    with Image.open(runner.job.path_of(artifact)) as image:
        assert image.size == (64, 64)
        assert image.convert("RGB").getpixel((5, 5)) == (0x33, 0x66, 0xCC)
    assert result.files[0].node == "2"
    assert runner.progress == sorted(runner.progress)
    assert runner.progress[-1] == 1


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
async def test_files_are_grouped_by_media_type(runner: JobRunner, name: str, group: str, media_type: str):
    result = await runner.run(graph=workflow(name))

    [artifact] = getattr(result, group)
    assert artifact.media_type == media_type
    assert artifact.size > 0
    assert len(result.files) == 1


async def test_a_video_is_probed(runner: JobRunner):
    [video] = (await runner.run(graph=workflow("video_mp4"))).videos

    assert video.probe is not None
    assert (video.probe.width, video.probe.height, video.probe.duration) == (64, 64, 1.0)


async def test_videos_listed_as_gifs_are_found(runner: JobRunner):
    graph = workflow("image_batch3")
    graph["2"] = {"class_type": "VHS_VideoCombine", "inputs": {"images": ["1", 0], "filename_prefix": "vhs"}}

    [video] = (await runner.run(graph=graph)).videos

    assert video.name == "vhs_00001_.mp4"


async def test_outputs_are_in_the_order_of_their_nodes_without_previews(runner: JobRunner):
    result = await runner.run(graph=workflow("multi_output"))

    assert [(file.node, file.kind) for file in result.files] == [("2", "image"), ("5", "audio")]
    assert result.texts == {"7": "7"}


async def test_previews_are_stored_on_request_or_when_there_is_nothing_else(runner: JobRunner):
    asked = await runner.run(graph=workflow("multi_output"), previews=True)
    runner.new_job()
    alone = await runner.run(graph=workflow("image_preview_temp"))

    assert [file.node for file in asked.files] == ["2", "3", "5"]
    assert len(alone.images) == 1


async def test_text_alone_is_a_result(runner: JobRunner):
    result = await runner.run(graph=workflow("text_preview"))

    assert result.texts == {"2": "hello"}
    assert result.files == []


async def test_nan_and_large_messages_do_no_harm(runner: JobRunner, server: FakeComfyUI):
    graph = workflow("image_tiny")
    graph["3"] = {"class_type": "NotANumber", "inputs": {"image": ["1", 0]}}
    graph["4"] = {"class_type": "LargeOutput", "inputs": {"image": ["1", 0], "megabytes": 3}}

    result = await runner.run(graph=graph)

    assert result.texts == {"3": "seen", "4": "received"}
    # A message that is too large for a websocket with a limit closes it.
    assert len(server.client_ids) == 1


async def test_the_same_graph_again_saves_its_own_files(runner: JobRunner, server: FakeComfyUI):
    first = await runner.run(graph=workflow("image_tiny"))
    for path in list(server.output.rglob("*.png")):
        path.unlink()
    runner.new_job()
    runs = server.executor.node_runs
    second = await runner.run(graph=workflow("image_tiny"))

    assert len(first.images) == len(second.images) == 1
    assert server.executor.node_runs == runs + 1, "only the save node runs again"


async def test_a_cached_result_with_deleted_files_is_an_error(runner: JobRunner, server: FakeComfyUI):
    await runner.run(graph=workflow("image_tiny"), unique_names=False)
    for path in server.output.rglob("*.png"):
        path.unlink()
    runner.new_job()

    with pytest.raises(OutputExpired, match="all its nodes were cached"):
        await runner.run(graph=workflow("image_tiny"), unique_names=False)


async def test_an_empty_file_is_an_error(runner: JobRunner):
    with pytest.raises(ProviderFailed, match="returned an empty file") as caught:
        await runner.run(graph={"1": {"class_type": "SaveNothing", "inputs": {"filename_prefix": "x"}}})

    assert caught.value.code == "bad_output"


async def test_a_login_page_in_place_of_a_file_is_fetched_again(server: FakeComfyUI, tmp_path: Path):
    runner = JobRunner(tmp_path / "patient", comfyui_api_url=server.url, output_patience=30)
    server.login_pages = 2

    result = await runner.run(graph=workflow("image_tiny"))

    assert len(result.images) == 1
    assert [line["message"] for line in runner.job.logs if "again" in line["message"]] == [
        f"ComfyUI ({result.server}, node 2) returned an HTML page (63 bytes, 'Sign in') instead of an image "
        f"({result.images[0].name}). It is fetched again."
    ] * 2


async def test_after_a_login_page_the_next_run_fetches_the_file_of_the_same_prompt(
    runner: JobRunner, server: FakeComfyUI
):
    server.login_pages = 1
    with pytest.raises(BadOutput, match="an HTML page") as caught:
        await runner.run(graph=workflow("image_tiny"))
    assert isinstance(caught.value, Transient)

    result = await runner.run(graph=workflow("image_tiny"))

    assert len(result.images) == 1
    assert len(server.accepted) == 1


async def test_a_damaged_file_is_final_and_the_prompt_runs_again_after_a_manual_retry(
    runner: JobRunner, server: FakeComfyUI
):
    server.damaged_downloads = 1
    with pytest.raises(ProviderFailed, match="a file that is cut off") as caught:
        await runner.run(graph=workflow("image_tiny"))

    assert caught.value.code == "bad_output"
    assert len((await runner.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 2


async def test_a_blocked_branch_is_reported_and_the_others_continue(runner: JobRunner):
    graph = workflow("multi_output")
    graph["8"] = {"class_type": "Block", "inputs": {"image": ["1", 0], "message": "no faces were found"}}
    graph["2"]["inputs"]["images"] = ["8", 0]

    result = await runner.run(graph=graph)

    assert [file.node for file in result.files] == ["5"]
    assert "no faces were found" in runner.log_text


async def test_a_graph_with_only_blocked_branches_has_no_output(runner: JobRunner):
    graph = workflow("image_tiny")
    graph["8"] = {"class_type": "Block", "inputs": {"image": ["1", 0], "message": "no"}}
    graph["2"]["inputs"]["images"] = ["8", 0]

    with pytest.raises(ProviderFailed) as caught:
        await runner.run(graph=graph)

    assert caught.value.code == "no_output"


async def test_a_file_above_the_size_limit_is_rejected(server: FakeComfyUI, tmp_path: Path):
    small = JobRunner(tmp_path, comfyui_api_url=server.url, source_max_bytes=100)

    with pytest.raises(OutputExpired, match="larger than the limit of 100 bytes"):
        await small.run(graph=workflow("image_tiny"))


def test_outputs_of_a_subgraph_have_the_id_of_the_submitted_node():
    entry = {
        "prompt": [0, "id", {"1": {}}, {}, ["1"]],
        "outputs": {"1.0.0.4": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}},
        "meta": {"1.0.0.4": {"node_id": "1.0.0.4", "display_node": "1", "parent_node": "1"}},
    }

    [file] = prompt_outputs(entry).files

    assert file.node == "1"


def test_values_that_are_not_files_are_skipped():
    entry = {"outputs": {"1": {"animated": [True], "letters": list("path"), "text": list("path"), "a": None}}}

    outputs = prompt_outputs(entry)

    assert outputs.files == ()
    assert outputs.texts == {"1": "path"}


def test_text_is_made_storable():
    assert prompt_outputs({"outputs": {"1": {"text": ["a\0b", "\ud800"]}}}).texts == {"1": "a\N{SYMBOL FOR NULL}b\n?"}
