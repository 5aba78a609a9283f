from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.operations.concat import ConcatResult, concat

# A whole number of waves per second, so that only a faulty joint is audible.
TONE = "aevalsrc='0.5*sin(2*PI*440*t)|0.5*sin(2*PI*440*t)':s=48000"


async def join(stage: FakeContext, *paths: Path, **params: Any) -> tuple[ConcatResult, Path]:
    result = await concat.run(stage, validate_params({"sources": [str(p) for p in paths], **params}, concat.params))
    assert isinstance(result, ConcatResult)
    return result, stage.kept[-1]


def max_step(audio: np.ndarray) -> float:
    """The largest step between two samples. A sine of 440 Hz at half level has steps of up to 0.029."""
    return float(np.abs(np.diff(audio[2400:-2400, 0])).max())


async def test_matching_files_are_joined_by_stream_copy(stage: FakeContext, studio: Studio):
    one = studio.counting("one.mp4", frames=30, sound=True)
    two = studio.counting("two.mp4", frames=60, sound=True)

    result, path = await join(stage, one, two, one)

    assert (result.copied, result.reason) == (True, "the files match")
    assert result.duration == pytest.approx(4)
    assert studio.frame_numbers(path) == pytest.approx([*range(30), *range(60), *range(30)], abs=0.4)
    assert len(studio.audio_samples(path)) == pytest.approx(4 * 48000, abs=1100)
    assert b"moov" in path.read_bytes()[:64]


async def test_the_frames_are_copied_unchanged(stage: FakeContext, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")
    two = studio.clip("two.mp4", "testsrc2=size=64x64:rate=30", seconds=0.5)

    _, path = await join(stage, one, two)

    whole = np.concatenate([studio.gray_frames(each, size=(64, 64)) for each in (one, two)])
    assert np.array_equal(studio.gray_frames(path, size=(64, 64)), whole)


@pytest.mark.parametrize("mode", ["copy", "encode"])
async def test_no_joint_is_audible(stage: FakeContext, studio: Studio, mode: str):
    second = studio.clip("tone.mp4", "testsrc2=size=64x64:rate=30", seconds=1, sound=TONE)

    _, path = await join(stage, *[second] * 5, mode=mode)

    audio = studio.audio_samples(path)
    assert len(audio) == pytest.approx(5 * 48000, abs=1100)
    assert max_step(audio) < 0.06
    assert np.abs(audio[2400 : 2400 + 600 * 390, 0]).reshape(-1, 600).max(axis=1).min() > 0.45


async def test_video_and_audio_stay_in_sync(stage: FakeContext, studio: Studio):
    flash = "color=black:size=64x64:rate=30,drawbox=0:0:64:64:white:fill:enable='between(n,15,16)'"
    beep = "aevalsrc='if(between(t,0.5,0.5666),0.5*sin(2*PI*1000*t),0)':s=44100"
    clip = studio.clip("flash.mp4", flash, seconds=1.1, sound=beep)

    _, path = await join(stage, *[clip] * 6)

    bright = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2)) > 128
    starts = np.flatnonzero(bright & ~np.roll(bright, 1)) / 30
    loud = np.abs(studio.audio_samples(path)[:, 0]) > 0.1
    quiet_before = np.convolve(loud, np.ones(4800), "full")[: len(loud)] - loud
    audio = np.flatnonzero(loud & (quiet_before == 0)) / 48000
    assert starts == pytest.approx(audio, abs=1 / 30)
    assert starts == pytest.approx([0.5 + 1.1 * n for n in range(6)], abs=1 / 30)


async def test_a_file_without_audio_is_silent_among_others(stage: FakeContext, studio: Studio):
    loud = studio.clip("loud.mp4", "testsrc2=size=64x64:rate=30", sound=TONE)
    mute = studio.clip("mute.mp4", "testsrc2=size=64x64:rate=30")

    result, path = await join(stage, mute, loud, mute)

    audio = np.abs(studio.audio_samples(path)[:, 0])
    assert result.copied
    assert (audio[2400:45000].max(), audio[100_000:].max()) == pytest.approx((0, 0), abs=0.01)
    assert audio[50_000:94_000].max() > 0.45


async def test_files_without_audio_have_no_audio_when_joined(stage: FakeContext, studio: Studio):
    result, _ = await join(stage, *[studio.clip("mute.mp4", "testsrc2=size=64x64:rate=30")] * 2)

    assert result.video is not None and result.video.probe is not None
    assert (result.video.probe.audio_codec, result.video.probe.frames) == (None, 60)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("testsrc2=size=96x64:rate=30", "'other.mp4' has the size 96x64, 'one.mp4' has 64x64"),
        ("testsrc2=size=64x64:rate=25", "'other.mp4' has the frame rate 25, 'one.mp4' has 30"),
        ("testsrc2=size=64x64:rate=30,setsar=4/3", "'other.mp4' has the pixel aspect ratio 4:3, 'one.mp4' has 1:1"),
    ],
)
async def test_files_that_differ_are_encoded_and_the_reason_is_reported(
    stage: FakeContext, studio: Studio, other: str, reason: str
):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30", sound=TONE)

    result, path = await join(stage, one, studio.clip("other.mp4", other, sound=TONE))

    assert (result.copied, result.reason) == (False, reason)
    assert len(studio.gray_frames(path, size=(64, 64))) == 60


async def test_other_encoder_settings_do_not_match(stage: FakeContext, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")
    other = studio.make("other.mp4", "-i", str(one), "-c:v", "libx264", "-preset", "veryslow", "-pix_fmt", "yuv420p")

    result, _ = await join(stage, one, other)

    assert (result.copied, result.reason) == (False, "'other.mp4' was encoded with other settings than 'one.mp4'")


async def test_mode_copy_of_files_that_differ_is_rejected(stage: FakeContext, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")

    with pytest.raises(BadParams, match=r"mode copy is not possible: .* the frame rate"):
        await join(stage, one, studio.clip("other.mp4", "testsrc2=size=64x64:rate=25"), mode="copy")


async def test_a_size_and_rate_can_be_requested(stage: FakeContext, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")

    result, _ = await join(stage, one, one, width=96, height=48, fps=25)

    assert result.video is not None and result.video.probe is not None
    probe = result.video.probe
    assert (probe.width, probe.height, probe.fps, probe.frames) == (96, 48, 25, 50)
    assert result.reason == "a size, rate or quality was requested"


async def test_rotated_and_variable_rate_videos_are_joined_as_displayed(stage: FakeContext, studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=96x64:rate=30")
    rotated = studio.make("rotated.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")
    variable_rate = studio.make(
        "vfr.mp4", "-i", str(flat), "-vf", "select='lt(n,15)+not(mod(n,3))'", "-fps_mode", "vfr", "-preset", "ultrafast"
    )

    result, path = await join(stage, rotated, variable_rate)

    assert result.video is not None and result.video.probe is not None
    assert (result.video.probe.width, result.video.probe.height, result.video.probe.rotation) == (64, 96, 0)
    assert len(studio.gray_frames(path, size=(64, 96))) == 58


async def test_videos_of_equal_rotation_keep_it(stage: FakeContext, studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=96x64:rate=30")
    rotated = studio.make("rotated.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")

    result, path = await join(stage, rotated, rotated)

    assert result.copied and result.video is not None and result.video.probe is not None
    assert (result.video.probe.width, result.video.probe.height) == (64, 96)
    shown = studio.gray_frames(path, size=(64, 96))
    assert np.array_equal(shown[:30], studio.gray_frames(rotated, size=(64, 96)))


async def test_matroska_files_are_joined_without_losing_frames(stage: FakeContext, studio: Studio):
    one = studio.counting("one.mp4", frames=31, sound=True)
    kept = studio.make("one.mkv", "-i", str(one), "-c", "copy")

    result, path = await join(stage, *[kept] * 3)

    assert result.copied
    assert result.duration == pytest.approx(93 / 30, abs=0.0001)
    assert studio.frame_numbers(path) == pytest.approx([*range(31)] * 3, abs=0.4)


async def test_audio_files_are_joined(stage: FakeContext, studio: Studio):
    wav, mp3 = (studio.make(f"t.{kind}", "-f", "lavfi", "-i", TONE, "-t", "1") for kind in ("wav", "mp3"))

    result, path = await join(stage, wav, mp3, wav)

    assert result.video is None and result.audio is not None
    assert result.duration == pytest.approx(3, abs=0.06)
    assert len(studio.audio_samples(path)) / 48000 == pytest.approx(result.duration, abs=0.03)


async def test_audio_files_and_videos_cannot_be_mixed(stage: FakeContext, studio: Studio):
    video = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")

    with pytest.raises(BadParams) as caught:
        await join(stage, video, studio.sound("t.wav", TONE, seconds=1), studio.still("still.png"))

    assert [problem.path for problem in caught.value.problems] == ["sources[1]", "sources[2]"]


async def test_special_characters_in_file_names_have_no_meaning(stage: FakeContext, studio: Studio, tmp_path: Path):
    clip = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")
    odd = [tmp_path / name for name in ("it's.mp4", "a:b %d.mp4", "🎬\n.mp4")]
    for path in odd:
        path.write_bytes(clip.read_bytes())

    result, _ = await join(stage, *odd)

    assert result.duration == pytest.approx(3)


async def test_many_files_can_be_joined(stage: FakeContext, studio: Studio):
    short = studio.clip("short.mp4", "testsrc2=size=64x64:rate=30", seconds=0.2, sound=TONE)

    result, path = await join(stage, *[short] * 25)

    assert result.copied
    assert len(studio.gray_frames(path, size=(64, 64))) == 150


async def test_a_truncated_file_is_joined_as_far_as_it_goes_or_refused(
    stage: FakeContext, studio: Studio, tmp_path: Path
):
    clip = studio.clip("long.mp4", "testsrc2=size=64x64:rate=30", seconds=3)
    front = studio.make("front.mp4", "-i", str(clip), "-c", "copy", "-movflags", "+faststart")
    (tmp_path / "truncated.mp4").write_bytes(front.read_bytes()[: front.stat().st_size // 2])

    with pytest.raises(BadParams, match=r"'truncated\.mp4' is cut off"):
        await join(stage, front, tmp_path / "truncated.mp4", mode="copy", strict=True)

    result, _ = await join(stage, front, tmp_path / "truncated.mp4", mode="copy")

    assert "'truncated.mp4' is cut off" in result.notes[0]
    assert 3.5 < result.duration < 5.5


def test_a_list_of_files_is_accepted():
    assert len(concat.params.model_validate(["a.mp4", "b.mp4"]).sources) == 2


def test_params_that_need_an_encode_are_rejected_in_mode_copy():
    with pytest.raises(BadParams, match="mode copy cannot change size, frame rate or quality"):
        validate_params({"sources": ["a.mp4"], "mode": "copy", "fps": 25}, concat.params)
