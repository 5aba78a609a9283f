from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.operations.split import SplitResult, split

TONE = "aevalsrc='0.5*sin(2*PI*440*t)|0.5*sin(2*PI*440*t)':s=48000"


async def cut(stage: FakeContext, path: Path, **params: Any) -> SplitResult:
    result = await split.run(stage, validate_params({"src": str(path), **params}, split.params))
    assert isinstance(result, SplitResult)
    return result


@pytest.fixture
def counting(studio: Studio) -> Path:
    """Two seconds with a key frame at every twelfth frame, and sound."""
    return studio.counting("counting.mp4", frames=60, sound=True)


def numbers(stage: FakeContext, studio: Studio) -> list[list[int]]:
    return [[round(number) for number in studio.frame_numbers(path)] for path in stage.kept]


async def test_the_parts_together_contain_the_video(stage: FakeContext, studio: Studio, counting: Path):
    result = await cut(stage, counting, every=0.7)

    assert numbers(stage, studio) == [[*range(21)], [*range(21, 42)], [*range(42, 60)]]
    assert [(part.start, part.duration, part.frames) for part in result.parts] == [
        (0, pytest.approx(0.7), 21),
        (pytest.approx(0.7), pytest.approx(0.7), 21),
        (pytest.approx(1.4), pytest.approx(0.6), 18),
    ]
    assert [file.name for file in result.files] == ["part-001.mp4", "part-002.mp4", "part-003.mp4"]
    assert (result.copied, result.notes) == (False, [])


async def test_the_audio_is_cut_to_the_sample(stage: FakeContext, studio: Studio):
    video = studio.make(
        "ramp.mkv",
        *("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", "aevalsrc='t/4|t/4':s=48000"),
        *("-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac"),
    )

    result = await cut(stage, video, times=[0.5, "0:01.3"])

    audio = [studio.audio_samples(path) for path in stage.kept]
    assert [part.duration for part in result.parts] == pytest.approx([0.5, 0.8, 0.7], abs=0.001)
    for part, sound in zip(result.parts, audio, strict=True):
        middle = len(sound) // 2
        assert sound[middle, 0] == pytest.approx((part.start + middle / 48000) / 4, abs=0.005)


async def test_copied_parts_start_at_key_frames_and_are_not_encoded(stage: FakeContext, studio: Studio, counting: Path):
    result = await cut(stage, counting, times=[0.5, 1.5], mode="copy")

    assert result.copied
    assert numbers(stage, studio) == [[*range(12)], [*range(12, 48)], [*range(48, 60)]]
    whole = np.concatenate([studio.gray_frames(path, size=(64, 64)) for path in stage.kept])
    assert np.array_equal(whole, studio.gray_frames(counting, size=(64, 64)))


async def test_distant_key_frames_make_fewer_parts_and_a_note(stage: FakeContext, counting: Path):
    result = await cut(stage, counting, times=[0.45, 0.5], mode="copy")

    assert [part.frames for part in result.parts] == [12, 48]
    assert result.notes == ["cut at 1 points instead of 2: key frames are further apart"]


async def test_an_open_gop_is_not_cut(stage: FakeContext, studio: Studio):
    open_gop = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "10", "-x264-params", "open-gop=1"]
    picture = "nullsrc=size=64x64:rate=30,geq=lum='16+3*N':cb=128:cr=128"
    video = studio.make("open.mp4", "-f", "lavfi", "-i", picture, "-t", "2", *open_gop, "-crf", "2")

    result = await cut(stage, video, every=0.4, mode="copy")

    assert [*chain.from_iterable(numbers(stage, studio))] == [*range(60)]
    assert sum(part.frames or 0 for part in result.parts) == 60


@pytest.mark.parametrize("mode", ["exact", "copy"])
async def test_variable_rate_frames_keep_their_timestamps(
    stage: FakeContext, studio: Studio, counting: Path, mode: str
):
    uneven = studio.make(
        f"uneven-{mode}.mp4",
        *("-i", str(counting), "-vf", "select='lt(n,20)+not(mod(n,5))'", "-fps_mode", "vfr"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "2", "-g", "4", "-bf", "0"),
    )

    result = await cut(stage, uneven, times=[1], mode=mode)

    # At a constant rate, the decoder repeats a frame until the next one.
    assert [*dict.fromkeys(chain.from_iterable(numbers(stage, studio)))] == [*range(20), 20, 25, 30, 35, 40, 45, 50, 55]
    assert sum(part.frames or 0 for part in result.parts) == 28
    assert result.parts[1].start == pytest.approx(1, abs=0.04 if mode == "exact" else 0.4)
    assert sum(part.duration for part in result.parts) == pytest.approx(2, abs=0.15)


async def test_a_count_makes_equal_parts(stage: FakeContext, counting: Path):
    result = await cut(stage, counting, count=4)

    assert [part.frames for part in result.parts] == [15, 15, 15, 15]


async def test_scene_changes_are_detected(stage: FakeContext, studio: Studio):
    colors = ["-f", "lavfi", "-i", "color=red:s=64x64:r=30:d=1", "-f", "lavfi", "-i", "color=lime:s=64x64:r=30:d=1.5"]
    video = studio.make("scenes.mp4", *colors, "-filter_complex", "[0][1]concat", "-c:v", "libx264")

    result = await cut(stage, video, scenes=True)

    assert [part.frames for part in result.parts] == [30, 45]


async def test_a_silence_is_cut_in_its_middle(stage: FakeContext, studio: Studio):
    speech = studio.make(
        "speech.wav", "-f", "lavfi", "-i", f"{TONE},volume='if(between(t,1.5,2.5),0,1)':eval=frame", "-t", "4"
    )

    result = await cut(stage, speech, silence={"threshold": -40, "duration": 0.6})

    assert [part.start for part in result.parts] == pytest.approx([0, 2], abs=0.05)
    assert [part.frames for part in result.parts] == [None, None]
    assert [file.name for file in result.files] == ["part-001.m4a", "part-002.m4a"]
    assert [len(studio.audio_samples(path)) / 48000 for path in stage.kept] == pytest.approx([2, 2], abs=0.06)


async def test_an_audio_file_is_cut_by_length(stage: FakeContext, studio: Studio):
    result = await cut(stage, studio.sound("tone.wav", TONE), every=1.5)

    assert [part.duration for part in result.parts] == pytest.approx([1.5, 1.5, 1], abs=0.001)


async def test_without_a_point_to_cut_at_there_is_one_part_and_a_note(
    stage: FakeContext, studio: Studio, counting: Path
):
    result = await cut(stage, counting, silence=True)

    assert [part.frames for part in result.parts] == [60]
    assert result.notes == ["no point to cut at was found, so there is one part"]


async def test_a_video_of_one_frame_is_one_part(stage: FakeContext, studio: Studio):
    result = await cut(stage, studio.clip("one.mp4", "testsrc2=size=64x64:rate=30", seconds=0.03), every=5)

    assert [part.frames for part in result.parts] == [1]


async def test_the_rotation_of_a_video_is_applied(stage: FakeContext, studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=96x64:rate=30")
    rotated = studio.make("rotated.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")

    exact = await cut(stage, rotated, count=2)
    copied = await cut(stage, rotated, count=2, mode="copy")

    for part in (*exact.parts, *copied.parts):
        probe = part.file.probe
        assert probe is not None
        assert (probe.width, probe.height) == (64, 96)


async def test_copied_vp9_stays_in_webm(stage: FakeContext, studio: Studio):
    args = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", "sine", "-t", "1", "-g", "10"]
    web = studio.make("web.webm", *args, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")

    result = await cut(stage, web, count=3, mode="copy")

    assert [file.media_type for file in result.files] == ["video/webm"] * 3
    assert sum(part.frames or 0 for part in result.parts) == 30


async def test_late_audio_keeps_its_delay(stage: FakeContext, studio: Studio):
    video = studio.clip("loud.mp4", "testsrc2=size=64x64:rate=30", seconds=1, sound=TONE)
    late = studio.make(
        "late.mp4", "-i", str(video), "-itsoffset", "0.6", "-i", str(video), "-map", "0:v", "-map", "1:a", "-c", "copy"
    )

    await cut(stage, late, count=2)

    first, second = (np.abs(studio.audio_samples(path)[:, 0]) for path in stage.kept)
    assert first[:20_000].max() < 0.01
    assert float(np.argmax(second > 0.2)) / 48000 == pytest.approx(0.1, abs=0.03)


async def test_a_truncated_file_is_split_as_far_as_it_goes_or_refused(
    stage: FakeContext, studio: Studio, tmp_path: Path
):
    clip = studio.clip("long.mp4", "testsrc2=size=64x64:rate=30", seconds=3)
    front = studio.make("front.mp4", "-i", str(clip), "-c", "copy", "-movflags", "+faststart")
    (tmp_path / "truncated.mp4").write_bytes(front.read_bytes()[: front.stat().st_size // 2])

    with pytest.raises(BadParams, match="cut off"):
        await cut(stage, tmp_path / "truncated.mp4", count=2, strict=True)

    result = await cut(stage, tmp_path / "truncated.mp4", count=2)

    assert "is cut off" in result.notes[0]
    assert sum(part.duration for part in result.parts) == pytest.approx(1.5, abs=0.3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"times": [1, 5]}, "a time must be within the 2.000 s of the file; got 5"),
        ({"every": 0.1}, None),
        ({"silence": True}, "there is no audio in this file"),
    ],
)
async def test_impossible_cuts_are_rejected(
    stage: FakeContext, studio: Studio, params: dict[str, Any], message: str | None
):
    video = studio.clip("mute.mp4", "testsrc2=size=64x64:rate=30", seconds=2)

    if message is None:
        assert len((await cut(stage, video, **params)).parts) == 20
    else:
        with pytest.raises(BadParams, match=message):
            await cut(stage, video, **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "give one of every, count, times, silence, scenes; got none"),
        ({"every": 1, "count": 2}, "got every, count"),
        ({"every": 0}, "every must be at least"),
        ({"count": 1}, "greater than or equal to 2"),
    ],
)
def test_exactly_one_way_to_cut_is_required(params: dict[str, Any], message: str):
    with pytest.raises(BadParams, match=message):
        validate_params({"src": "a.mp4", **params}, split.params)


@pytest.mark.parametrize("size", ["2000x2", "2x2000"])
async def test_scene_changes_are_detected_at_any_aspect_ratio(stage: FakeContext, studio: Studio, size: str):
    cut_in_the_middle = f"color=black:size={size}:rate=10,drawbox=color=white:t=fill:enable='gte(t,1)'"
    video = studio.clip("shape.mp4", cut_in_the_middle, seconds=2)

    result = await cut(stage, video, scenes=True, min_duration=0.5)

    assert [part.frames for part in result.parts] == [10, 10]


@pytest.mark.parametrize("name", ["moving.gif", "moving.apng"])
async def test_video_that_cannot_be_copied_is_encoded_or_rejected(stage: FakeContext, studio: Studio, name: str):
    moving = studio.make(name, "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10", "-t", "1")

    with pytest.raises(BadParams, match=r"mode: (gif|apng) video cannot be copied; use mode exact"):
        await cut(stage, moving, count=2, mode="copy")

    assert [part.frames for part in (await cut(stage, moving, count=2)).parts] == [5, 5]


@pytest.mark.parametrize(("name", "coding"), [("late.ts", "libx264"), ("late.mpg", "mpeg2video")])
async def test_timestamps_that_do_not_start_at_0_make_no_part_longer(
    stage: FakeContext, studio: Studio, name: str, coding: str
):
    args = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", TONE, "-t", "2"]
    video = studio.make(name, *args, "-c:v", coding, "-c:a", "mp2")

    result = await cut(stage, video, count=2)

    assert [part.duration for part in result.parts] == pytest.approx([1, 1], abs=0.06)
    assert len(studio.audio_samples(stage.kept[1])) == pytest.approx(48_000, abs=3000)


async def test_reordered_frames_stay_in_order(stage: FakeContext, studio: Studio, counting: Path):
    result = await cut(stage, counting, every=0.7, preset="medium", crf=1)

    assert numbers(stage, studio) == [[*range(21)], [*range(21, 42)], [*range(42, 60)]]
    assert [part.file.probe.duration for part in result.parts if part.file.probe] == pytest.approx(
        [0.7, 0.7, 0.6], abs=0.03
    )


async def test_the_last_frame_of_a_part_is_shown_as_long_as_in_the_source(stage: FakeContext, studio: Studio):
    held = studio.make(
        "held.gif",
        *("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=0.5", "-final_delay", "150"),
    )

    result = await cut(stage, held, times=[0.4], preset="medium")

    assert [(part.duration, part.frames) for part in result.parts] == [(0.4, 4), (1.5, 1)]
    assert [part.file.probe.duration for part in result.parts if part.file.probe] == pytest.approx([0.4, 1.5], abs=0.02)
