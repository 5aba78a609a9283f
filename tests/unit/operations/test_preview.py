"""The `preview` operation, with real videos of a few seconds."""

import re
from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext
from PIL import Image

from callsheet.domain.errors import BadParams, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.media.thumbnails import preview_process
from callsheet.media.thumbnails.preview_requests import PosterRequest, StillsRequest
from callsheet.media.thumbnails.sample_times import sample_times
from callsheet.media.thumbnails.timecode import timecode
from callsheet.operations.preview import PreviewParams
from operations.gallery import Gallery, make_preview

COLORS = ("red", "lime", "blue", "yellow")


@pytest.fixture
def stage(tmp_path: Path) -> FakeContext:
    return Gallery(tmp_path)


@pytest.fixture
def rainbow(studio):
    """Four seconds in four colors with a single key frame at the start."""
    inputs = [w for c in COLORS for w in ("-f", "lavfi", "-i", f"color={c}:size=160x90:rate=30:duration=1,format=gbrp")]
    join = "concat=n=4:v=1:a=0,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-g", "500", "-sc_threshold", "0"]
    return studio.make("rainbow.mp4", *inputs, "-filter_complex", join, *coding, "-colorspace", "bt709")


def color_name(path) -> str:
    """Return the color of an image by name."""
    red, green, blue = (level > 128 for level in Image.open(path).convert("RGB").resize((1, 1)).getpixel((0, 0)))
    names = {(1, 0, 0): "red", (0, 1, 0): "lime", (0, 0, 1): "blue", (1, 1, 0): "yellow"}
    return names[red, green, blue]


async def test_each_frame_shows_its_part_of_the_video(stage, rainbow):
    result, files = await make_preview(stage, rainbow, count=4, accuracy="exact")

    assert result.times == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.04)
    assert [color_name(files[frame.name]) for frame in result.frames] == list(COLORS)
    assert [frame.name for frame in result.frames] == [f"frame-00{n}.jpg" for n in (1, 2, 3, 4)]


async def test_auto_decodes_forward_if_the_key_frame_is_too_far_away(stage, rainbow):
    result, files = await make_preview(stage, rainbow, count=4)

    assert [color_name(files[frame.name]) for frame in result.frames] == list(COLORS)


async def test_equal_key_frames_are_used_once(stage, rainbow):
    result, _ = await make_preview(stage, rainbow, count=4, accuracy="keyframe")

    assert (result.times, len(result.frames)) == ([0.0], 1)


async def test_an_interval_begins_at_the_start(stage, rainbow):
    result, _ = await make_preview(stage, rainbow, interval=1, accuracy="exact")

    assert result.times == pytest.approx([0, 1, 2, 3], abs=0.04)


async def test_a_poster_at_a_time_shows_that_frame_in_full_size(stage, rainbow):
    result, files = await make_preview(stage, rainbow, count=2, width=64, poster={"time": 2.2}, accuracy="keyframe")

    assert color_name(files["poster.jpg"]) == "blue"
    assert Image.open(files["poster.jpg"]).size == (160, 90)
    assert result.poster.name == "poster.jpg"


async def test_the_best_frame_is_not_black(studio, stage):
    fade = studio.clip("from-black.mp4", "testsrc2=size=160x90:rate=30,fade=t=in:st=0.9:d=0.6", seconds=2)

    _, files = await make_preview(stage, fade, count=4, poster=True)

    assert Image.open(files["poster.jpg"]).convert("L").resize((1, 1)).getpixel((0, 0)) > 60


async def test_a_contact_sheet_has_every_frame_in_rows(stage, rainbow):
    result, files = await make_preview(
        stage, rainbow, count=4, width=100, contact_sheet={"columns": 2}, accuracy="exact"
    )

    sheet = Image.open(files["contact-sheet.jpg"]).convert("RGB")
    assert result.contact_sheet.name == "contact-sheet.jpg"
    assert sheet.width > 200
    assert _colors(sheet) == {"red", "lime", "blue", "yellow"}


def _centres(sheet: Image.Image) -> dict[str, tuple[int, int]]:
    w, h = sheet.size
    return {"1": (w // 4, h // 3), "2": (3 * w // 4, h // 3), "3": (w // 4, 3 * h // 4), "4": (3 * w // 4, 3 * h // 4)}


def _colors(sheet: Image.Image) -> set[str]:
    found = set()
    for place in _centres(sheet).values():
        red, green, blue = (level > 128 for level in sheet.getpixel(place))
        found.add(
            {(1, 0, 0): "red", (0, 1, 0): "lime", (0, 0, 1): "blue", (1, 1, 0): "yellow"}.get((red, green, blue), "?")
        )
    return found


@pytest.mark.parametrize("turn", [90, 180, 270])
async def test_a_rotated_video_is_shown_upright(studio, stage, turn):
    # The upper half is white.
    flag = studio.clip("flag.mp4", "color=black:size=160x90:rate=30,drawbox=0:0:160:45:white:fill", seconds=0.5)
    turned = studio.make(f"flag-{turn}.mp4", "-display_rotation", str(turn), "-i", str(flag), "-c", "copy")

    _, files = await make_preview(stage, turned, count=1, width=None)
    displayed = studio.gray_frames(turned, size=(160, 90) if turn == 180 else (90, 160))[7]
    taken = Image.open(files["frame-001.jpg"]).convert("L").resize(displayed.shape[::-1])

    assert abs(displayed - np.asarray(taken, float)).mean() < 12


@pytest.mark.parametrize(
    ("format", "suffix", "kind"),
    [("jpeg", "jpg", "JPEG"), ("webp", "webp", "WEBP"), ("avif", "avif", "AVIF"), ("png", "png", "PNG")],
)
async def test_the_format_is_the_requested_one(stage, rainbow, format, suffix, kind):
    _, files = await make_preview(stage, rainbow, count=1, format=format, width=80)

    picture = Image.open(files[f"frame-001.{suffix}"])
    assert (picture.format, picture.size) == (kind, (80, 45))


async def test_non_square_pixels_are_made_square(studio, stage):
    wide = studio.clip("anamorphic.mp4", "testsrc2=size=160x90:rate=30,setsar=2", seconds=0.3)

    _, files = await make_preview(stage, wide, count=1, width=320)

    assert Image.open(files["frame-001.jpg"]).size == (320, 90)


async def test_odd_sizes_names_and_durations_are_supported(studio, stage, tmp_path):
    odd = studio.make(
        "one-odd.mkv", "-f", "lavfi", "-i", "testsrc2=size=161x91:rate=30", "-frames:v", "1", "-c:v", "ffv1"
    )
    path = tmp_path / '🎬 it\'s a "film": 50%.mkv'
    path.write_bytes(odd.read_bytes())

    result, _ = await make_preview(stage, path, count=5)

    assert (len(result.frames), result.times) == (1, [0.0])


async def test_frames_of_a_variable_frame_rate_are_found_by_their_times(studio, stage):
    counted = "nullsrc=size=64x64:rate=30,geq=lum='16+3*N':cb=128:cr=128,select='lt(n\\,10)+not(mod(n\\,15))'"
    args = [
        "-f",
        "lavfi",
        "-i",
        counted,
        "-t",
        "2",
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-qp",
        "2",
        "-pix_fmt",
        "yuv420p",
    ]
    uneven = studio.make("uneven-count.mkv", *args)

    result, files = await make_preview(stage, uneven, interval=0.75, accuracy="exact", format="png", width=64)

    levels = [Image.open(files[f.name]).convert("L").getpixel((32, 32)) for f in result.frames]
    assert result.times == pytest.approx([0, 0.5, 1.5], abs=0.01)
    # Frames 0, 15 and 45, converted from limited to full range.
    assert levels == pytest.approx([0, 45 * 255 / 219, 135 * 255 / 219], abs=4)


async def test_a_still_image_is_its_own_preview(studio, stage):
    result, _ = await make_preview(stage, studio.still("still.png"), count=3)

    assert result.times == [0.0]


async def test_an_audio_file_has_no_frames(studio, stage):
    with pytest.raises(BadParams, match="there is no video or image in"):
        await make_preview(stage, studio.sound("tone.wav", "sine", seconds=0.2))


async def test_a_disguised_playlist_reads_no_other_file(stage, rainbow, tmp_path):
    trick = tmp_path / "film.mp4"
    trick.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{rainbow}\n#EXT-X-ENDLIST\n")

    with pytest.raises(FFmpegFailed):
        await preview_process.take_stills(trick, stage.dir, StillsRequest(poster=PosterRequest()))


async def test_a_decoder_crash_is_reported(stage, rainbow, tmp_path, monkeypatch):
    crashing = tmp_path / "thumbnails.py"
    crashing.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(preview_process, "_THUMBNAILS_SCRIPT", crashing)

    with pytest.raises(FFmpegFailed, match="crashes the decoder"):
        await preview_process.take_stills(rainbow, stage.dir, StillsRequest(poster=PosterRequest()))


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"count": 3, "interval": 2}, "give count or interval, not both"),
        ({"format": "gif"}, "'jpeg', 'webp', 'avif' or 'png'"),
        ({"colums": 3}, "unknown field"),
        ({"contact_sheet": {"colums": 3}}, "did you mean 'columns'?"),
    ],
)
def test_invalid_params_are_rejected_before_the_job_runs(params, says):
    with pytest.raises(BadParams, match=re.escape(says)):
        validate_params({"src": "clip.mp4", **params}, PreviewParams)


def test_frames_are_at_the_center_of_equal_intervals():
    assert sample_times(10, 5, None, 500) == ([1, 3, 5, 7, 9], 5)
    assert sample_times(10, None, 4, 500) == ([0, 4, 8], 3)
    assert sample_times(8, None, 4, 500) == ([0, 4], 2)


def test_too_many_frames_are_spaced_over_the_whole_video():
    times, requested = sample_times(10_000, None, 0.1, 500)

    assert (len(times), times[1], times[-1], requested) == (500, 20, 9980, 100_000)


def test_time_codes_have_tenths_of_seconds():
    assert [timecode(t) for t in (0, 7.46, 59.96, 75, 3725.2)] == ["0:00.0", "0:07.5", "1:00.0", "1:15.0", "1:02:05.2"]
