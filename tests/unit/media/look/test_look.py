"""How a picture or a video looks, in words."""

import pytest
from PIL import Image

from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.media.look.colors import dominant_colors
from callsheet.media.look.description import describe
from callsheet.media.look.samples import SIDE, Samples, sample
from callsheet.media.probing.probe import probe_details
from callsheet.settings import Settings


def frame(color):
    return Image.new("RGB", (SIDE, SIDE), color)


@pytest.mark.parametrize(
    ("color", "name"),
    [
        ("#d01020", "red"),
        ("#f08010", "orange"),
        ("#f0e020", "yellow"),
        ("#20b040", "green"),
        ("#20c0c0", "turquoise"),
        ("#2040d0", "blue"),
        ("#8030c0", "purple"),
        ("#f040a0", "pink"),
        ("#704020", "brown"),
        ("#101010", "black"),
        ("#808080", "gray"),
        ("#f8f8f8", "white"),
    ],
)
def test_colors_have_common_names(color, name):
    assert dominant_colors([frame(color)]) == [name]


def test_calm_and_fast_videos_are_distinguished():
    calm = Samples([frame("#d01020")] * 40, 1080, 1920, 10)
    fast = Samples([frame("#ffffff"), frame("#101010")] * 20, 1920, 1080, 10)
    assert describe(calm) == (
        "vertical video of 10 seconds, mostly red, vivid colors, low contrast, no cuts, no motion"
    )
    assert describe(fast).startswith("horizontal video of 10 seconds, mostly ")
    assert "black and white, low contrast, fast cuts" in describe(fast)
    assert describe(Samples([frame("#f8f8f8")], 500, 500, None)) == (
        "square picture, mostly white, bright, black and white, low contrast"
    )
    assert describe(Samples([], 500, 500, 1)) == "square video of 1 second"


async def test_a_real_video_and_a_real_picture_are_sampled(tmp_path):
    ffmpeg = open_ffmpeg(Settings(_env_file=None, data_dir=tmp_path))
    video, picture = tmp_path / "clip.mp4", tmp_path / "picture.jpg"
    source = "color=red:s=90x160:r=10:d=1[a];color=blue:s=90x160:r=10:d=1[b];[a][b]concat=n=2"
    await ffmpeg.run(["-filter_complex", source, "-pix_fmt", "yuv420p", str(video)], write=[tmp_path])
    Image.new("RGB", (200, 100), "#20b040").save(picture)

    found = describe(await sample(ffmpeg, await probe_details(video)))
    assert found.startswith("vertical video of 2 seconds, mostly ")
    assert {"red", "blue"} <= set(found.replace(",", "").split()) and "fast cuts" in found
    assert describe(await sample(ffmpeg, await probe_details(picture))).startswith("horizontal picture, mostly green")
