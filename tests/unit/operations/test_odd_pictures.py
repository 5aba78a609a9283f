"""Pictures and videos whose facts are easily read only in part look the same in all operations."""

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from media.studio import FakeContext, Studio
from PIL import Image

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.media.probing.still_facts import read_still
from callsheet.media.thumbnails.display_image import turned
from callsheet.operation_api.contract import Operation
from callsheet.operations.concat import concat
from callsheet.operations.finish import finish
from callsheet.operations.mux import mux
from callsheet.operations.preview import preview
from callsheet.operations.probe import ProbeResult, probe
from callsheet.operations.render import render
from callsheet.operations.split import split
from callsheet.operations.transcode import transcode
from operations.odd_pictures import HEIGHT, SEEN, WIDTH, corners, make_still, make_video, write_tiled_heic

_OUTPUT = {"width": WIDTH, "height": HEIGHT, "fps": 10}
STILLS = ["2.jpg", "5.png", "6.webp", "7.avif", "profile.jpg", "alpha.avif"]
VIDEOS = ["transposed", "p3", "alpha.webp"]


def requests(src: str) -> dict[str, tuple[Operation, dict[str, Any]]]:
    """Return every operation that shows a video, with its params."""
    return {
        "render": (render, {"scenes": [{"src": src, "fit": "fill"}], "output": _OUTPUT}),
        "overlay": (render, overlay(src)),
        "finish": (finish, {"video": src, "width": WIDTH, "height": HEIGHT, "fit": "fill"}),
        "transcode": (transcode, {"src": src}),
        "encode": (transcode, {"src": src, "crf": 10}),
        "concat": (concat, {"sources": [src], "mode": "encode"}),
        "split": (split, {"src": src, "times": [0.2]}),
        "preview": (preview, {"src": src, "count": 1, "format": "png"}),
    }


def overlay(src: str) -> dict[str, Any]:
    over = {"src": src, "width": WIDTH, "height": HEIGHT, "fit": "fill"}
    return {"scenes": [{"color": "black", "duration": 0.2, "overlays": [over]}], "output": _OUTPUT}


async def shown(stage: FakeContext, studio: Studio, operation: Operation, params: dict[str, Any]) -> list[str]:
    """Run an operation, and return the corners of its first picture as a player shows it."""
    await operation.run(stage, validate_params(params, operation.params))
    if stage.kept[0].suffix == ".png":
        return corners(Image.open(stage.kept[0]))
    return corners(first_frame(studio, stage.kept[0]))


def first_frame(studio: Studio, path: Path) -> Image.Image:
    args = ["-v", "error", "-i", f"file:{path}", "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"]
    return Image.open(io.BytesIO(subprocess.run([studio.binary, *args], capture_output=True, check=True).stdout))


@pytest.mark.parametrize("kind", STILLS)
async def test_a_still_image_is_shown_as_viewers_show_it(stage: FakeContext, studio: Studio, tmp_path: Path, kind: str):
    src = str(make_still(tmp_path, kind))
    seen = [*SEEN[:3], "black" if "alpha" in kind else "white"]

    assert await shown(stage, studio, preview, {"src": src, "count": 1, "format": "png"}) == seen
    stage.kept.clear()
    both = {**overlay(src), "scenes": [{"src": src, "duration": 0.2, "fit": "fill"}, *overlay(src)["scenes"]]}
    await render.run(stage, validate_params(both, render.params))
    frames = studio.rgb_frames(stage.kept[0], size=(WIDTH, HEIGHT)).astype("uint8")
    assert [corners(Image.fromarray(frame)) for frame in (frames[0], frames[-1])] == [seen, seen]
    facts = await probe.run(stage, validate_params({"src": src}, probe.params))
    assert isinstance(facts, ProbeResult)
    assert (facts.width, facts.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("name", requests(""))
@pytest.mark.parametrize("kind", VIDEOS)
async def test_a_video_is_shown_as_players_show_it(
    stage: FakeContext, studio: Studio, tmp_path: Path, kind: str, name: str
):
    operation, params = requests(str(make_video(studio, tmp_path, kind)))[name]

    assert await shown(stage, studio, operation, params) == [*SEEN[:3], "black" if "alpha" in kind else "white"]


@pytest.mark.parametrize("number", range(2, 9))
def test_each_orientation_of_a_photo_is_read(tmp_path: Path, number: int):
    path = make_still(tmp_path, f"{number}.jpg")
    facts = read_still(path)

    assert facts is not None
    assert corners(turned(Image.open(path), facts.orientation)) == SEEN


@pytest.mark.parametrize("kind", ["mirrored", "upside down", "alpha.mov"])
async def test_a_video_is_previewed_as_players_show_it(stage: FakeContext, studio: Studio, tmp_path: Path, kind: str):
    params = {"src": str(make_video(studio, tmp_path, kind)), "count": 1, "format": "png"}

    assert await shown(stage, studio, preview, params) == [*SEEN[:3], "black" if "alpha" in kind else "white"]


@pytest.mark.parametrize("turns", [0, 1])
async def test_the_tiles_of_a_heic_are_one_image(stage: FakeContext, studio: Studio, tmp_path: Path, turns: int):
    path = tmp_path / "photo.heic"
    write_tiled_heic(studio, path, turns=turns)

    assert await shown(stage, studio, preview, {"src": str(path), "count": 1, "format": "png"}) == SEEN
    facts = await probe.run(stage, validate_params({"src": str(path)}, probe.params))
    assert isinstance(facts, ProbeResult)
    assert (facts.width, facts.height, facts.rotation) == (112, 96, 90 * turns)


async def test_frames_of_an_animated_webp_keep_their_times(stage: FakeContext, studio: Studio, tmp_path: Path):
    path = tmp_path / "steps.webp"
    first, *others = [Image.new("RGB", (64, 64), color) for color in ("red", "lime", "blue")]
    first.save(path, save_all=True, append_images=others, duration=[500, 300, 200], lossless=True)

    await render.run(stage, validate_params({"scenes": [str(path)], "output": {**_OUTPUT, "width": 64}}, render.params))

    frames = studio.rgb_frames(stage.kept[0], size=(64, HEIGHT))
    assert frames[:, 32, 32].argmax(axis=1).tolist() == [0] * 5 + [1] * 3 + [2] * 2
    with pytest.raises(BadParams, match="does not support webp video"):
        params = {"video": str(path), "audio": str(studio.sound("tone.wav", "sine", seconds=1))}
        await mux.run(stage, validate_params(params, mux.params))
