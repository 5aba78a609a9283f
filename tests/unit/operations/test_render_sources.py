"""Sources of every kind, each rendered with the right frames and samples."""

from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.plan_validation import validate_params
from callsheet.operations.render import RenderResult, render

TINY = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast", "crf": 1}
BEEP = "sine=frequency=1000:sample_rate=48000"


async def make(stage: FakeContext, *scenes: object, **output: object) -> tuple[RenderResult, Path]:
    given = {"scenes": list(scenes), "output": {**TINY, **output}, "loudness": False}
    result = await render.run(stage, validate_params(given, render.params))
    assert isinstance(result, RenderResult)
    return result, stage.kept[-1]


def flash_and_beep(studio: Studio, name: str, *args: str, at: float = 0.5) -> str:
    """A black clip that is white for a tenth of a second, with a beep as long."""
    video = f"color=black:size=64x64:rate=30,drawbox=color=white:t=fill:enable='between(t,{at},{at + 0.099})'"
    audio = f"{BEEP},volume=enable='not(between(t,{at},{at + 0.1}))':volume=0"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    inputs = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio]
    return str(studio.make(name, *inputs, *args, "-t", "1.5", *coding))


def flash(studio: Studio, path: Path) -> float:
    """The second at which the video becomes bright."""
    return float(np.argmax(studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2)) > 128)) / 30


def beep(studio: Studio, path: Path) -> float:
    """The second at which the audio becomes loud."""
    return float(np.argmax(np.abs(studio.audio_samples(path)[:, 0]) > 0.05)) / 48_000


@pytest.mark.parametrize(
    ("args", "scene"),
    [
        ((), {}),
        (("-ac", "1"), {}),
        (("-ac", "6"), {}),
        (("-ar", "22050"), {}),
        ((), {"trimStart": 0.3}),
        ((), {"speed": 2}),
        ((), {"speed": 0.5}),
        ((), {"fit": "contain_blur", "filters": ["blur"]}),
    ],
    ids=["plain", "mono", "5.1", "22 kHz", "trimmed", "fast", "slow", "filtered"],
)
async def test_audio_and_video_stay_in_sync(
    stage: FakeContext, studio: Studio, args: tuple[str, ...], scene: dict[str, object]
):
    clip = flash_and_beep(studio, "flash.mp4", *args)

    _, path = await make(stage, {"color": "black", "duration": 0.5}, {"src": clip, **scene})

    expected = 0.5 + (0.5 - float(str(scene.get("trimStart", 0)))) / float(str(scene.get("speed", 1)))
    assert flash(studio, path) == pytest.approx(expected, abs=1 / 30)
    assert beep(studio, path) == pytest.approx(flash(studio, path), abs=1 / 30)


async def test_audio_and_video_stay_in_sync_through_transitions_and_long_videos(stage: FakeContext, studio: Studio):
    clip = {"src": flash_and_beep(studio, "flash.mp4"), "transition": {"duration": 0.3}}

    _, path = await make(stage, *[clip] * 9, {**clip, "transition": None})

    bright = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2)) > 128
    loud = np.abs(studio.audio_samples(path)[:, 0]) > 0.05
    flashes = np.flatnonzero(bright[1:] & ~bright[:-1]) + 1
    assert flashes.tolist() == [15 + 36 * n for n in range(10)]
    for frame in flashes:
        window = loud[frame * 1600 - 4800 : frame * 1600 + 4800]
        assert np.argmax(window) == pytest.approx(4800, abs=1600)


@pytest.mark.parametrize("late", ["video", "audio"])
@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4"])
async def test_a_stream_that_starts_late_keeps_its_offset(stage: FakeContext, studio: Studio, suffix: str, late: str):
    clip = flash_and_beep(studio, "flash.mp4", at=0.9)
    video, audio = (["-itsoffset", "0.4" if late == which else "0", "-i", clip] for which in ("video", "audio"))
    name = f"late-{late}.{suffix}"
    source = studio.make(name, *video, *audio, "-map", "0:v", "-map", "1:a", "-c", "copy")

    _, path = await make(stage, {"color": "black", "duration": 0.5}, {"src": str(source), "trimStart": 0.2})

    flash_time, beep_time = flash(studio, path), beep(studio, path)
    assert flash_time - beep_time == pytest.approx(0.4 if late == "video" else -0.4, abs=1.5 / 30)
    assert min(flash_time, beep_time) == pytest.approx(0.5 + 0.9 - 0.2, abs=1.5 / 30)


async def test_the_first_frame_of_a_video_that_starts_late_fills_the_gap(stage: FakeContext, studio: Studio):
    counting = studio.counting("counting.mp4", frames=60)
    args = ["-f", "lavfi", "-i", BEEP, "-itsoffset", "1", "-i", str(counting), "-map", "1:v", "-map", "0:a"]
    late = studio.make("late.mkv", *args, "-t", "3", "-c:v", "copy", "-c:a", "aac")

    white = {"color": "white", "duration": 0.5, "transition": {"duration": 0.4}}
    _, path = await make(stage, white, {"src": str(late), "duration": 2.4})

    numbers = studio.frame_numbers(path)
    assert len(numbers) == 15 + 72 - 12
    assert numbers[15:].round().tolist() == [max(0, frame - 33) for frame in range(15, 75)]


@pytest.mark.parametrize("start", [1.5, 3, 5])
async def test_a_transport_stream_with_rare_keyframes_is_trimmed_to_the_frame(
    stage: FakeContext, studio: Studio, start: float
):
    source = "nullsrc=size=64x64:rate=30,geq=lum='16+N':cb=128:cr=128"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "250", "-crf", "2", "-pix_fmt", "yuv420p"]
    clip = studio.make("rare.ts", "-f", "lavfi", "-i", source, "-t", "6", *coding)

    _, path = await make(stage, {"src": str(clip), "trimStart": start, "duration": 0.3})

    levels = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2)) * 219 / 255
    assert levels == pytest.approx(np.arange(9) + start * 30, abs=1)


async def test_keyframes_far_apart_are_found(stage: FakeContext, studio: Studio):
    source = "nullsrc=size=64x64:rate=30,geq=lum='16+2*mod(N,100)':cb=128:cr=128"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "600", "-crf", "2", "-pix_fmt", "yuv420p"]
    clip = studio.make("rarest.ts", "-f", "lavfi", "-i", source, "-t", "22", *coding)

    _, path = await make(stage, {"src": str(clip), "trimStart": 18.5, "duration": 0.3})

    levels = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2)) * 219 / 255
    assert levels == pytest.approx(2 * (np.arange(9) + 55), abs=1)


@pytest.mark.parametrize("frames", [1, 30])
async def test_the_last_frame_is_visible_after_a_trim_to_the_end(stage: FakeContext, studio: Studio, frames: int):
    clip = str(studio.counting(f"only-{frames}.mp4", frames=frames))

    _, path = await make(stage, {"src": clip, "trimStart": frames / 30 - 0.01, "duration": 0.2})

    assert studio.frame_numbers(path) == pytest.approx(np.full(6, frames - 1), abs=0.5)


async def test_interlaced_video_is_deinterlaced(stage: FakeContext, studio: Studio):
    bar = "nullsrc=size=64x64:rate=60,geq=lum='if(lt(mod(X-N*4,64),8),235,16)':cb=128:cr=128"
    fields = ["-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags", "+ilme+ildct", "-x264-params", "tff=1"]
    args = ["-f", "lavfi", "-i", bar, "-t", "1", *fields, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "2"]
    clip = studio.make("fields.mp4", *args)

    _, path = await make(stage, {"src": str(clip), "trimStart": 0.2}, {"src": str(clip), "duration": 0.2})

    source, rendered = (studio.gray_frames(each, size=(64, 64)) for each in (clip, path))
    combed, smooth = (np.abs(np.diff(video[5:10], axis=1)).mean() for video in (source, rendered))
    assert len(rendered) == 24 + 6
    assert smooth < combed / 4


async def test_a_video_of_one_frame_is_rendered(stage: FakeContext, studio: Studio):
    clip = str(studio.counting("one.mp4", frames=1))

    result, path = await make(stage, clip, {"src": clip, "duration": 0.5})

    assert result.video.probe and result.video.probe.frames == 16
    assert np.abs(studio.frame_numbers(path)).max() < 0.5


async def test_a_high_frame_rate_is_kept_or_reduced(stage: FakeContext, studio: Studio):
    clip = str(studio.counting("fast.mp4", rate=120, frames=60))

    _, reduced = await make(stage, clip)
    reduced_numbers = studio.frame_numbers(reduced)
    _, full = await make(stage, clip, fps=120)

    assert np.abs(reduced_numbers - np.arange(0, 60, 4)).max() < 2.1
    assert np.abs(studio.frame_numbers(full) - np.arange(60)).max() < 0.6


async def test_variable_frame_rate_keeps_the_times_of_its_frames(stage: FakeContext, studio: Studio):
    # Grey for 0.2 s, white for 0.7 s, in three frames.
    parts = "color=gray:size=64x64:rate=30,settb=1/600,setpts='if(eq(N,0),0,if(eq(N,1),120,540))',trim=end_frame=3"
    white = "drawbox=color=white:t=fill:enable='gte(n,1)'"
    clip = studio.make(
        *("uneven.mp4", "-f", "lavfi", "-i", f"{parts},{white}", "-fps_mode", "vfr", "-enc_time_base", "1/600"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    )

    _, path = await make(stage, {"src": str(clip), "duration": 0.8})

    bright = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2)) > 200
    assert bright.tolist() == [n >= 6 for n in range(24)]


async def test_a_4k_source_is_scaled_down(stage: FakeContext, studio: Studio):
    large = "color=black:size=3840x2160:rate=5,drawbox=x=1920:w=1920:color=white:t=fill"
    clip = str(studio.clip("large.mp4", large, seconds=0.4))

    _, path = await make(stage, {"src": clip, "fit": "fill"})

    frame = studio.gray_frames(path, size=(64, 64))[3]
    assert frame[:, :30].max() < 10
    assert frame[:, 34:].min() > 245


async def test_a_4k_video_is_rendered(stage: FakeContext):
    result, _ = await make(stage, {"color": "navy", "duration": 0.2}, width=3840, height=2160, fps=5)

    assert result.video.probe and (result.video.probe.width, result.video.probe.height) == (3840, 2160)


@pytest.mark.parametrize("size", ["63x63", "65x64", "64x65", "17x99"])
async def test_odd_sizes_are_rendered(stage: FakeContext, studio: Studio, size: str):
    clip = str(studio.clip("odd.mkv", f"color=white:size={size}:rate=30", seconds=0.2, pixels="yuv444p"))

    _, path = await make(stage, clip)

    assert studio.gray_frames(path, size=(64, 64)).min() > 245


@pytest.mark.parametrize(
    ("color", "expected"),
    [("red", (255, 0, 0)), ("#00ff00", (0, 255, 0)), ("blue", (0, 0, 255)), ("#808080", (128, 128, 128))],
)
async def test_colors_match_the_source(stage: FakeContext, studio: Studio, color: str, expected: tuple[int, int, int]):
    still = str(studio.still("still.png", f"color={color}:size=64x64,format=rgb24"))
    # Without color tags and small, so it counts as standard definition (BT.601).
    video = str(studio.clip("small.mp4", f"color={color}:size=64x64:rate=30,format=rgb24", seconds=0.2))

    _, path = await make(
        stage, {"src": still, "duration": 0.2}, {"color": color, "duration": 0.2}, {"src": video, "duration": 0.2}
    )

    seen = studio.rgb_frames(path, size=(64, 64)).mean(axis=(1, 2))[3::6]
    assert np.abs(seen - np.array(expected)).max() < 6


# White around the center.
SPOT = "255*lt(hypot(X-(W-1)/2,Y-(H-1)/2),min(W,H)/4)"
# With 4:2:0, x264 encodes even sizes only.
ANY_SIZE_ARGS = ["-t", "0.1", "-c:v", "libvpx-vp9", "-crf", "4", "-b:v", "0", "-pix_fmt", "yuv420p"]


@pytest.mark.parametrize("size", ["63x64", "126x64", "101x90", "90x101", "64x128", "320x180"])
@pytest.mark.parametrize("suffix", ["mkv", "png"])
async def test_the_center_stays_in_the_center(stage: FakeContext, studio: Studio, suffix: str, size: str):
    spot = f"color=black:size={size}:rate=30,format=gbrp,geq=r='{SPOT}':g='{SPOT}':b='{SPOT}'"
    name = f"spot.{suffix}"
    source = (
        studio.still(name, spot) if suffix == "png" else studio.make(name, "-f", "lavfi", "-i", spot, *ANY_SIZE_ARGS)
    )

    _, path = await make(stage, {"src": str(source), "duration": 0.1})

    frame = studio.gray_frames(path, size=(64, 64))[0]
    for axis in (0, 1):
        weights = frame.sum(axis=axis)
        assert (weights * np.arange(64)).sum() / weights.sum() == pytest.approx(31.5, abs=0.1)
