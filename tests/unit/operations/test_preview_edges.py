"""Previews of unusual and damaged files."""

from pathlib import Path

import av
import numpy as np
import pytest
from media.studio import FakeContext
from PIL import Image

from callsheet.media.thumbnails.video_reader import VideoReader
from operations.gallery import Gallery, frame_number, make_preview

EVERYTHING = {"count": 2, "sprite": {"width": 64}, "animation": {"width": 64, "seconds": 1}, "poster": True}


@pytest.fixture
def stage(tmp_path: Path) -> FakeContext:
    return Gallery(tmp_path)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
async def test_hdr_is_tone_mapped_like_in_a_transcode(studio, stage, transfer):
    tags = f"setparams=color_trc={transfer}:color_primaries=bt2020:colorspace=bt2020nc:range=tv"
    ramp = "nullsrc=size=128x64:rate=10,format=gbrp,geq=r='X*1.6':g='Y*2+X/2':b=60"
    filters = f"scale=out_color_matrix=bt2020nc:out_range=tv,format=yuv420p10le,{tags}"
    hdr = studio.make(f"{transfer}.mkv", "-f", "lavfi", "-i", ramp, "-t", "0.2", "-vf", filters, "-c:v", "ffv1")

    _, files = await make_preview(stage, hdr, count=1, width=128, format="png")

    mapped = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv"
    raw = studio.make(f"{transfer}.png", "-i", str(hdr), "-vf", f"{mapped},format=gbrp", "-frames:v", "1")
    picture, wanted = (np.asarray(Image.open(p).convert("RGB"), float) for p in (files["frame-001.png"], raw))
    assert abs(picture - wanted).mean() < 4
    assert np.corrcoef(picture.ravel(), wanted.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("accuracy", ["auto", "exact", "keyframe"])
async def test_a_truncated_file_shows_its_frames(studio, stage, tmp_path, accuracy):
    whole = studio.counting("counting.mp4")
    fast = studio.make("fast.mp4", "-i", str(whole), "-c", "copy", "-movflags", "+faststart")
    data = fast.read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data[: len(data) * 8 // 10])

    result, files = await make_preview(stage, broken, interval=0.25, accuracy=accuracy, format="png", width=64)

    assert 3 <= len(result.frames) < 8
    assert 0.5 < result.times[-1] < 1.7
    numbers = [frame_number(files[frame.name]) for frame in result.frames]
    assert numbers[:-1] == pytest.approx([time * 30 for time in result.times[:-1]], abs=0.6)


async def test_damage_in_the_middle_loses_only_its_own_frames(studio, stage, tmp_path):
    data = bytearray(studio.clip("busy-two.mp4", "testsrc2=size=160x90:rate=30", seconds=2).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xa5" * 2000
    broken = tmp_path / "damaged.mp4"
    broken.write_bytes(data)

    result, files = await make_preview(stage, broken, accuracy="exact", **EVERYTHING)

    assert len(result.frames) == 2
    assert files["animation.webp"].stat().st_size > 0


async def test_a_video_without_duration_and_index_is_measured(studio, stage):
    args = ["-i", str(studio.counting("counting.mp4")), "-c", "copy", "-f", "matroska", "-live", "1"]
    live = studio.make("live.mkv", *args)

    result, files = await make_preview(stage, live, count=4, accuracy="exact", format="png", width=64)

    assert result.times == pytest.approx([0.25, 0.75, 1.25, 1.75], abs=0.034)
    assert [frame_number(files[f.name]) for f in result.frames] == pytest.approx(
        [t * 30 for t in result.times], abs=0.6
    )


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "webm"])
async def test_the_right_frame_is_found_in_every_container(studio, stage, container):
    counting = studio.counting("counting.mp4")
    coding = (
        ["-c:v", "libvpx-vp9", "-g", "20", "-lossless", "1", "-deadline", "realtime"]
        if container == "webm"
        else ["-c", "copy"]
    )
    film = studio.make(f"counting.{container}", "-i", str(counting), *coding)

    times = [1.9, 0.03, 0.98, 1.0]
    result, files = await make_preview(stage, film, times=times, format="png", width=64)

    assert result.times == pytest.approx([57 / 30, 0, 29 / 30, 1.0], abs=0.005)
    assert [frame_number(files[f.name]) for f in result.frames] == pytest.approx([57, 0, 29, 30], abs=0.6)


async def test_rotation_and_non_square_pixels_apply_to_all_images(studio, stage):
    flag = studio.clip("wide-flag.mp4", "color=black:size=160x90:rate=10,drawbox=0:0:160:45:white:fill,setsar=2")
    turned = studio.make("turned-flag.mp4", "-display_rotation", "90", "-i", str(flag), "-c", "copy")

    await make_preview(stage, turned, **EVERYTHING)

    for path in stage.kept:
        if path.suffix != ".vtt":
            picture = Image.open(path).convert("L")
            sides = [picture.resize((2, 1)).getpixel((x, 0)) for x in (0, 1)]
            assert sides[0] > 200 and sides[1] < 50, path.name
            if path.name != "sprite-001.jpg":
                assert picture.height / picture.width == pytest.approx(320 / 90, abs=0.05)


async def test_a_still_image_is_its_own_sprite_poster_and_animation(studio, stage):
    result, files = await make_preview(stage, studio.still("still.png"), **EVERYTHING)

    assert (len(result.frames), result.sprite.count) == (1, 1)
    assert Image.open(files["animation.webp"]).size == (64, 40)


async def test_a_video_of_one_odd_frame_has_all_images(studio, stage, tmp_path):
    args = ["-f", "lavfi", "-i", "testsrc2=size=161x91:rate=30", "-frames:v", "1", "-c:v", "ffv1"]
    path = tmp_path / '📽 it\'s "one": 100%.mkv'
    path.write_bytes(studio.make("one-odd.mkv", *args).read_bytes())

    result, files = await make_preview(
        stage, path, contactSheet=True, at="scene_changes", **{**EVERYTHING, "count": None}
    )

    assert (result.times, result.sprite.count) == ([0.0], 1)
    assert files["animation.webp"].stat().st_size > 0


async def test_4k_is_scaled_down(studio, stage):
    large = studio.clip("large.mp4", "testsrc2=size=3840x2160:rate=10", seconds=0.4)

    _, files = await make_preview(stage, large, **EVERYTHING)

    assert Image.open(files["frame-001.jpg"]).size == (480, 270)
    assert Image.open(files["poster.jpg"]).size == (1920, 1080)
    assert Image.open(files["animation.webp"]).size == (64, 36)


async def test_variable_frame_durations_are_kept_in_the_animation(studio, stage):
    counted = "nullsrc=size=64x64:rate=30,geq=lum='16+3*N':cb=128:cr=128,select='lt(n\\,10)+not(mod(n\\,15))'"
    args = ["-f", "lavfi", "-i", counted, "-t", "2", "-fps_mode", "vfr", "-c:v", "libx264", "-qp", "2"]
    uneven = studio.make("uneven.mkv", *args, "-pix_fmt", "yuv420p")

    _, files = await make_preview(
        stage, uneven, animation={"start": 0, "seconds": 1.5, "fps": 10, "width": 64, "format": "gif"}
    )

    with Image.open(files["animation.gif"]) as image:
        levels: list[float] = []
        for index in range(image.n_frames):
            image.seek(index)
            held = round(image.info["duration"] / 100)
            levels += [np.asarray(image.convert("L"), float).mean() * 219 / 255 / 3] * held
    assert levels == pytest.approx([0, 3, 6, 9, 9, 15, 15, 15, 15, 15, 30, 30, 30, 30, 30], abs=1)


def decoded_frames(monkeypatch, path, times, tolerance) -> int:
    """Return the number of frames that are decoded for some times."""
    counted = 0
    decode = VideoReader._decode

    def counting(self, packet):
        nonlocal counted
        frames = decode(self, packet)
        counted += len(frames)
        return frames

    monkeypatch.setattr(VideoReader, "_decode", counting)
    with av.open(str(path)) as container:
        reader = VideoReader(container, max_pixels=10**6, threads=1)
        for time in times:
            reader.frame_at(time, tolerance)
    return counted


def test_no_frame_is_decoded_twice_in_sequential_access(studio, monkeypatch):
    args = ["-i", str(studio.counting("counting.mp4")), "-c:v", "libx264", "-g", "500", "-bf", "2"]
    one_key = studio.make("one-key-count.mp4", *args)

    for tolerance in (0.0, 0.01):  # no key frame is close enough, and the search is not repeated
        assert decoded_frames(monkeypatch, one_key, [n / 30 for n in range(0, 60, 2)], tolerance) <= 60 + 2


def test_a_close_key_frame_costs_one_decode(studio, monkeypatch):
    counting = studio.counting("counting.mp4")  # a key frame every 12 frames

    assert decoded_frames(monkeypatch, counting, [0.1, 0.5, 0.9, 1.3, 1.7], 0.4) == 5


def test_distant_times_are_reached_by_seeking(studio, monkeypatch):
    counting = studio.counting("counting.mp4")

    assert decoded_frames(monkeypatch, counting, [0.01, 1.62], 0.0) <= 8


def test_frames_that_are_not_shown_are_not_decoded(studio, monkeypatch):
    args = ["-i", str(studio.counting("counting.mp4")), "-c:v", "libx264", "-g", "500", "-bf", "3", "-b_strategy", "0"]
    one_key = studio.make("b-frames-count.mp4", *args)

    assert decoded_frames(monkeypatch, one_key, [1.8], 0.0) < 40  # of 55
    with av.open(str(one_key)) as container:
        reader = VideoReader(container, max_pixels=10**6, threads=2)
        for number in (50, 7, 8, 31, 59, 0, 23):
            assert reader.frame_at(number / 30)[1] == pytest.approx(number / 30, abs=1e-3)


@pytest.mark.parametrize("format", ["gif", "webp"])
async def test_an_animation_of_a_very_tall_video_keeps_its_aspect_ratio(studio, stage, format):
    tower = studio.clip("tower.mp4", "testsrc2=size=16x2000:rate=10")

    _, files = await make_preview(stage, tower, animation={"format": format, "seconds": 0.5})

    assert Image.open(files[f"animation.{format}"]).size == (13, 1600)


async def test_audio_of_eight_channels_is_drawn(studio, stage):
    tone = "sine=frequency=300:sample_rate=48000,aformat=channel_layouts=7.1"
    surround = studio.make("surround.mkv", "-f", "lavfi", "-i", tone, "-t", "1", "-c:a", "flac")

    _, files = await make_preview(stage, surround, waveform={"width": 100, "height": 20})

    assert np.asarray(Image.open(files["waveform.png"]).getchannel("A"))[10].mean() > 100
