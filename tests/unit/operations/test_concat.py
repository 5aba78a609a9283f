from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.studio import Stage, Studio

from callsheet.domain.errors import BadParams, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.operations.concat import ConcatResult, concat

# A whole number of waves in each second, so that a joint can be heard only if it is a bad one.
TONE = "aevalsrc='0.5*sin(2*PI*440*t)|0.5*sin(2*PI*440*t)':s=48000"


async def join(stage: Stage, *paths: Path, **params: Any) -> tuple[ConcatResult, Path]:
    result = await concat.run(stage, validate_params({"sources": [str(p) for p in paths], **params}, concat.params))
    assert isinstance(result, ConcatResult)
    return result, stage.kept[-1]


def jumps(sound: np.ndarray) -> float:
    """The largest step between two samples; a whole wave of 440 Hz at half level makes steps of 0.029."""
    return float(np.abs(np.diff(sound[2400:-2400, 0])).max())


async def test_files_that_match_are_joined_without_a_new_encode(stage: Stage, studio: Studio):
    one = studio.counting("one.mp4", frames=30, sound=True)
    two = studio.counting("two.mp4", frames=60, sound=True)

    result, path = await join(stage, one, two, one)

    assert (result.copied, result.reason) == (True, "the files match")
    assert result.duration == pytest.approx(4)
    assert studio.numbers(path) == pytest.approx([*range(30), *range(60), *range(30)], abs=0.4)
    assert len(studio.listen(path)) == pytest.approx(4 * 48000, abs=1100)
    assert b"moov" in path.read_bytes()[:64]


async def test_the_frames_themselves_are_passed_on(stage: Stage, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")
    two = studio.clip("two.mp4", "testsrc2=size=64x64:rate=30", seconds=0.5)

    _, path = await join(stage, one, two)

    whole = np.concatenate([studio.look(each, size=(64, 64)) for each in (one, two)])
    assert np.array_equal(studio.look(path, size=(64, 64)), whole)


@pytest.mark.parametrize("mode", ["copy", "encode"])
async def test_no_joint_is_heard(stage: Stage, studio: Studio, mode: str):
    second = studio.clip("tone.mp4", "testsrc2=size=64x64:rate=30", seconds=1, sound=TONE)

    _, path = await join(stage, *[second] * 5, mode=mode)

    heard = studio.listen(path)
    assert len(heard) == pytest.approx(5 * 48000, abs=1100)
    assert jumps(heard) < 0.06
    assert np.abs(heard[2400 : 2400 + 600 * 390, 0]).reshape(-1, 600).max(axis=1).min() > 0.45


async def test_a_flash_and_its_beep_stay_together(stage: Stage, studio: Studio):
    flash = "color=black:size=64x64:rate=30,drawbox=0:0:64:64:white:fill:enable='between(n,15,16)'"
    beep = "aevalsrc='if(between(t,0.5,0.5666),0.5*sin(2*PI*1000*t),0)':s=44100"
    clip = studio.clip("flash.mp4", flash, seconds=1.1, sound=beep)

    _, path = await join(stage, *[clip] * 6)

    bright = studio.look(path, size=(64, 64)).mean(axis=(1, 2)) > 128
    starts = np.flatnonzero(bright & ~np.roll(bright, 1)) / 30
    loud = np.abs(studio.listen(path)[:, 0]) > 0.1
    quiet_before = np.convolve(loud, np.ones(4800), "full")[: len(loud)] - loud
    heard = np.flatnonzero(loud & (quiet_before == 0)) / 48000
    assert starts == pytest.approx(heard, abs=1 / 30)
    assert starts == pytest.approx([0.5 + 1.1 * n for n in range(6)], abs=1 / 30)


async def test_a_file_without_sound_among_others_is_silent(stage: Stage, studio: Studio):
    loud = studio.clip("loud.mp4", "testsrc2=size=64x64:rate=30", sound=TONE)
    mute = studio.clip("mute.mp4", "testsrc2=size=64x64:rate=30")

    result, path = await join(stage, mute, loud, mute)

    heard = np.abs(studio.listen(path)[:, 0])
    assert result.copied
    assert (heard[2400:45000].max(), heard[100_000:].max()) == pytest.approx((0, 0), abs=0.01)
    assert heard[50_000:94_000].max() > 0.45


async def test_none_with_sound_makes_none(stage: Stage, studio: Studio):
    result, _ = await join(stage, *[studio.clip("mute.mp4", "testsrc2=size=64x64:rate=30")] * 2)

    assert result.video is not None and result.video.probe is not None
    assert (result.video.probe.audio_codec, result.video.probe.frames) == (None, 60)


@pytest.mark.parametrize(
    ("other", "because"),
    [
        ("testsrc2=size=96x64:rate=30", "'other.mp4' has the size 96x64, 'one.mp4' has 64x64"),
        ("testsrc2=size=64x64:rate=25", "'other.mp4' has the frame rate 25, 'one.mp4' has 30"),
        ("testsrc2=size=64x64:rate=30,setsar=4/3", "'other.mp4' has the shape of pixels 4:3, 'one.mp4' has 1:1"),
    ],
)
async def test_files_that_differ_are_encoded_once_and_it_is_told_why(
    stage: Stage, studio: Studio, other: str, because: str
):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30", sound=TONE)

    result, path = await join(stage, one, studio.clip("other.mp4", other, sound=TONE))

    assert (result.copied, result.reason) == (False, because)
    assert len(studio.look(path, size=(64, 64))) == 60


async def test_other_encoder_settings_do_not_match(stage: Stage, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")
    other = studio.make("other.mp4", "-i", str(one), "-c:v", "libx264", "-preset", "veryslow", "-pix_fmt", "yuv420p")

    result, _ = await join(stage, one, other)

    assert (result.copied, result.reason) == (False, "'other.mp4' was encoded with other settings than 'one.mp4'")


async def test_mode_copy_of_files_that_differ_is_refused(stage: Stage, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")

    with pytest.raises(BadParams, match=r"mode copy is not possible: .* the frame rate"):
        await join(stage, one, studio.clip("other.mp4", "testsrc2=size=64x64:rate=25"), mode="copy")


async def test_a_size_and_rate_can_be_asked_for(stage: Stage, studio: Studio):
    one = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")

    result, _ = await join(stage, one, one, width=96, height=48, fps=25)

    assert result.video is not None and result.video.probe is not None
    probe = result.video.probe
    assert (probe.width, probe.height, probe.fps, probe.frames) == (96, 48, 25, 50)
    assert result.reason == "a size, rate or quality was asked for"


async def test_turned_and_uneven_videos_are_joined_as_they_are_seen(stage: Stage, studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=96x64:rate=30")
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")
    uneven = studio.make(
        "vfr.mp4", "-i", str(flat), "-vf", "select='lt(n,15)+not(mod(n,3))'", "-fps_mode", "vfr", "-preset", "ultrafast"
    )

    result, path = await join(stage, turned, uneven)

    assert result.video is not None and result.video.probe is not None
    assert (result.video.probe.width, result.video.probe.height, result.video.probe.rotation) == (64, 96, 0)
    assert len(studio.look(path, size=(64, 96))) == 58


async def test_films_that_are_turned_alike_stay_so(stage: Stage, studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=96x64:rate=30")
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")

    result, path = await join(stage, turned, turned)

    assert result.copied and result.video is not None and result.video.probe is not None
    assert (result.video.probe.width, result.video.probe.height) == (64, 96)
    shown = studio.look(path, size=(64, 96))
    assert np.array_equal(shown[:30], studio.look(turned, size=(64, 96)))


async def test_matroska_files_are_joined_to_the_frame(stage: Stage, studio: Studio):
    one = studio.counting("one.mp4", frames=31, sound=True)
    kept = studio.make("one.mkv", "-i", str(one), "-c", "copy")

    result, path = await join(stage, *[kept] * 3)

    assert result.copied
    assert result.duration == pytest.approx(93 / 30, abs=0.0001)
    assert studio.numbers(path) == pytest.approx([*range(31)] * 3, abs=0.4)


async def test_sound_alone_is_joined_too(stage: Stage, studio: Studio):
    wav, mp3 = (studio.make(f"t.{kind}", "-f", "lavfi", "-i", TONE, "-t", "1") for kind in ("wav", "mp3"))

    result, path = await join(stage, wav, mp3, wav)

    assert result.video is None and result.audio is not None
    assert result.duration == pytest.approx(3, abs=0.06)
    assert len(studio.listen(path)) / 48000 == pytest.approx(result.duration, abs=0.03)


async def test_sound_and_pictures_do_not_mix(stage: Stage, studio: Studio):
    film = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")

    with pytest.raises(BadParams) as caught:
        await join(stage, film, studio.sound("t.wav", TONE, seconds=1), studio.still("still.png"))

    assert [problem.path for problem in caught.value.problems] == ["sources[1]", "sources[2]"]


async def test_names_are_only_names(stage: Stage, studio: Studio, tmp_path: Path):
    clip = studio.clip("one.mp4", "testsrc2=size=64x64:rate=30")
    odd = [tmp_path / name for name in ("it's.mp4", "a:b %d.mp4", "🎬\n.mp4")]
    for path in odd:
        path.write_bytes(clip.read_bytes())

    result, _ = await join(stage, *odd)

    assert result.duration == pytest.approx(3)


async def test_many_files_need_no_more_handles_than_few(stage: Stage, studio: Studio):
    short = studio.clip("short.mp4", "testsrc2=size=64x64:rate=30", seconds=0.2, sound=TONE)

    result, path = await join(stage, *[short] * 25)

    assert result.copied
    assert len(studio.look(path, size=(64, 64))) == 150


async def test_a_file_that_breaks_off_is_named(stage: Stage, studio: Studio, tmp_path: Path):
    clip = studio.clip("long.mp4", "testsrc2=size=64x64:rate=30", seconds=3)
    front = studio.make("front.mp4", "-i", str(clip), "-c", "copy", "-movflags", "+faststart")
    (tmp_path / "torn.mp4").write_bytes(front.read_bytes()[: front.stat().st_size // 2])

    with pytest.raises(FFmpegFailed, match=r"'torn\.mp4': .*damaged or incomplete"):
        await join(stage, front, tmp_path / "torn.mp4", mode="copy")


def test_a_plain_list_of_files_is_enough():
    assert len(concat.params.model_validate(["a.mp4", "b.mp4"]).sources) == 2


def test_what_copying_cannot_do_is_refused():
    with pytest.raises(BadParams, match="mode copy leaves size, frame rate and quality as they are"):
        validate_params({"sources": ["a.mp4"], "mode": "copy", "fps": 25}, concat.params)
