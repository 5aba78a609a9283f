from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.studio import Stage, Studio

from callsheet.domain.errors import BadParams, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.operations.split import SplitResult, split

TONE = "aevalsrc='0.5*sin(2*PI*440*t)|0.5*sin(2*PI*440*t)':s=48000"


async def cut(stage: Stage, path: Path, **params: Any) -> SplitResult:
    result = await split.run(stage, validate_params({"src": str(path), **params}, split.params))
    assert isinstance(result, SplitResult)
    return result


@pytest.fixture
def counting(studio: Studio) -> Path:
    """Two seconds with a key frame at every twelfth frame, and sound."""
    return studio.counting("counting.mp4", frames=60, sound=True)


def numbers(stage: Stage, studio: Studio) -> list[list[int]]:
    return [[round(number) for number in studio.numbers(path)] for path in stage.kept]


async def test_pieces_are_together_what_the_film_was(stage: Stage, studio: Studio, counting: Path):
    result = await cut(stage, counting, every=0.7)

    assert numbers(stage, studio) == [[*range(21)], [*range(21, 42)], [*range(42, 60)]]
    assert [(part.start, part.duration, part.frames) for part in result.parts] == [
        (0, pytest.approx(0.7), 21),
        (pytest.approx(0.7), pytest.approx(0.7), 21),
        (pytest.approx(1.4), pytest.approx(0.6), 18),
    ]
    assert [file.name for file in result.files] == ["part-001.mp4", "part-002.mp4", "part-003.mp4"]
    assert (result.copied, result.notes) == (False, [])


async def test_the_sound_is_cut_to_the_sample(stage: Stage, studio: Studio):
    film = studio.make(
        "ramp.mkv",
        *("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", "aevalsrc='t/4|t/4':s=48000"),
        *("-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac"),
    )

    result = await cut(stage, film, times=[0.5, "0:01.3"])

    heard = [studio.listen(path) for path in stage.kept]
    assert [part.duration for part in result.parts] == pytest.approx([0.5, 0.8, 0.7], abs=0.001)
    for part, sound in zip(result.parts, heard, strict=True):
        middle = len(sound) // 2
        assert sound[middle, 0] == pytest.approx((part.start + middle / 48000) / 4, abs=0.005)


async def test_copied_pieces_begin_at_key_frames_and_are_not_encoded(stage: Stage, studio: Studio, counting: Path):
    result = await cut(stage, counting, times=[0.5, 1.5], mode="copy")

    assert result.copied
    assert numbers(stage, studio) == [[*range(12)], [*range(12, 48)], [*range(48, 60)]]
    whole = np.concatenate([studio.look(path, size=(64, 64)) for path in stage.kept])
    assert np.array_equal(whole, studio.look(counting, size=(64, 64)))


async def test_key_frames_too_far_apart_make_fewer_pieces_and_a_note(stage: Stage, counting: Path):
    result = await cut(stage, counting, times=[0.45, 0.5], mode="copy")

    assert [part.frames for part in result.parts] == [12, 48]
    assert result.notes == ["cut in 1 places instead of 2: key frames are further apart"]


async def test_an_open_group_of_pictures_is_not_cut(stage: Stage, studio: Studio):
    open_gop = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "10", "-x264-params", "open-gop=1"]
    picture = "nullsrc=size=64x64:rate=30,geq=lum='16+3*N':cb=128:cr=128"
    film = studio.make("open.mp4", "-f", "lavfi", "-i", picture, "-t", "2", *open_gop, "-crf", "2")

    result = await cut(stage, film, every=0.4, mode="copy")

    assert [*chain.from_iterable(numbers(stage, studio))] == [*range(60)]
    assert sum(part.frames or 0 for part in result.parts) == 60


@pytest.mark.parametrize("mode", ["exact", "copy"])
async def test_frames_of_uneven_length_keep_their_times(stage: Stage, studio: Studio, counting: Path, mode: str):
    uneven = studio.make(
        f"uneven-{mode}.mp4",
        *("-i", str(counting), "-vf", "select='lt(n,20)+not(mod(n,5))'", "-fps_mode", "vfr"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "2", "-g", "4", "-bf", "0"),
    )

    result = await cut(stage, uneven, times=[1], mode=mode)

    # Readers of even frames show one again until the next is due.
    assert [*dict.fromkeys(chain.from_iterable(numbers(stage, studio)))] == [*range(20), 20, 25, 30, 35, 40, 45, 50, 55]
    assert sum(part.frames or 0 for part in result.parts) == 28
    assert result.parts[1].start == pytest.approx(1, abs=0.04 if mode == "exact" else 0.4)
    assert sum(part.duration for part in result.parts) == pytest.approx(2, abs=0.15)


async def test_a_count_makes_equal_pieces(stage: Stage, counting: Path):
    result = await cut(stage, counting, count=4)

    assert [part.frames for part in result.parts] == [15, 15, 15, 15]


async def test_scenes_are_found(stage: Stage, studio: Studio):
    colours = ["-f", "lavfi", "-i", "color=red:s=64x64:r=30:d=1", "-f", "lavfi", "-i", "color=lime:s=64x64:r=30:d=1.5"]
    film = studio.make("scenes.mp4", *colours, "-filter_complex", "[0][1]concat", "-c:v", "libx264")

    result = await cut(stage, film, scenes=True)

    assert [part.frames for part in result.parts] == [30, 45]


async def test_silence_is_cut_in_its_middle(stage: Stage, studio: Studio):
    speech = studio.make(
        "speech.wav", "-f", "lavfi", "-i", f"{TONE},volume='if(between(t,1.5,2.5),0,1)':eval=frame", "-t", "4"
    )

    result = await cut(stage, speech, silence={"threshold": -40, "duration": 0.6})

    assert [part.start for part in result.parts] == pytest.approx([0, 2], abs=0.05)
    assert [part.frames for part in result.parts] == [None, None]
    assert [file.name for file in result.files] == ["part-001.m4a", "part-002.m4a"]
    assert [len(studio.listen(path)) / 48000 for path in stage.kept] == pytest.approx([2, 2], abs=0.06)


async def test_sound_alone_is_cut_by_length(stage: Stage, studio: Studio):
    result = await cut(stage, studio.sound("tone.wav", TONE), every=1.5)

    assert [part.duration for part in result.parts] == pytest.approx([1.5, 1.5, 1], abs=0.001)


async def test_nothing_to_cut_at_makes_one_piece_and_a_note(stage: Stage, studio: Studio, counting: Path):
    result = await cut(stage, counting, silence=True)

    assert [part.frames for part in result.parts] == [60]
    assert result.notes == ["nothing was found to cut at, so there is one piece"]


async def test_a_film_of_one_frame_is_one_piece(stage: Stage, studio: Studio):
    result = await cut(stage, studio.clip("one.mp4", "testsrc2=size=64x64:rate=30", seconds=0.03), every=5)

    assert [part.frames for part in result.parts] == [1]


async def test_a_turned_film_of_odd_size_is_upright(stage: Stage, studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=96x64:rate=30")
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")

    exact = await cut(stage, turned, count=2)
    copied = await cut(stage, turned, count=2, mode="copy")

    for part in (*exact.parts, *copied.parts):
        probe = part.file.probe
        assert probe is not None
        assert (probe.width, probe.height) == (64, 96)


async def test_vp9_stays_in_webm_when_passed_on(stage: Stage, studio: Studio):
    words = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", "sine", "-t", "1", "-g", "10"]
    web = studio.make("web.webm", *words, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")

    result = await cut(stage, web, count=3, mode="copy")

    assert [file.media_type for file in result.files] == ["video/webm"] * 3
    assert sum(part.frames or 0 for part in result.parts) == 30


async def test_late_sound_keeps_its_distance(stage: Stage, studio: Studio):
    film = studio.clip("loud.mp4", "testsrc2=size=64x64:rate=30", seconds=1, sound=TONE)
    late = studio.make(
        "late.mp4", "-i", str(film), "-itsoffset", "0.6", "-i", str(film), "-map", "0:v", "-map", "1:a", "-c", "copy"
    )

    await cut(stage, late, count=2)

    first, second = (np.abs(studio.listen(path)[:, 0]) for path in stage.kept)
    assert first[:20_000].max() < 0.01
    assert float(np.argmax(second > 0.2)) / 48000 == pytest.approx(0.1, abs=0.03)


async def test_a_torn_file_is_told(stage: Stage, studio: Studio, tmp_path: Path):
    clip = studio.clip("long.mp4", "testsrc2=size=64x64:rate=30", seconds=3)
    front = studio.make("front.mp4", "-i", str(clip), "-c", "copy", "-movflags", "+faststart")
    (tmp_path / "torn.mp4").write_bytes(front.read_bytes()[: front.stat().st_size // 2])

    with pytest.raises(FFmpegFailed, match="damaged or incomplete"):
        await cut(stage, tmp_path / "torn.mp4", count=2)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"times": [1, 5]}, "a time must be within the 2.000 s of the file; got 5"),
        ({"every": 0.1}, None),
        ({"silence": True}, "there is no sound in this file"),
    ],
)
async def test_what_cannot_be_cut_is_told(stage: Stage, studio: Studio, params: dict[str, Any], says: str | None):
    film = studio.clip("mute.mp4", "testsrc2=size=64x64:rate=30", seconds=2)

    if says is None:
        assert len((await cut(stage, film, **params)).parts) == 20
    else:
        with pytest.raises(BadParams, match=says):
            await cut(stage, film, **params)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "give one of every, count, times, silence, scenes; got none"),
        ({"every": 1, "count": 2}, "got every, count"),
        ({"every": 0}, "every must be at least"),
        ({"count": 1}, "greater than or equal to 2"),
    ],
)
def test_one_way_to_cut_must_be_given(params: dict[str, Any], says: str):
    with pytest.raises(BadParams, match=says):
        validate_params({"src": "a.mp4", **params}, split.params)


@pytest.mark.parametrize("size", ["2000x2", "2x2000"])
async def test_scenes_are_found_in_pictures_of_any_shape(stage: Stage, studio: Studio, size: str):
    cut_in_the_middle = f"color=black:size={size}:rate=10,drawbox=color=white:t=fill:enable='gte(t,1)'"
    film = studio.clip("shape.mp4", cut_in_the_middle, seconds=2)

    result = await cut(stage, film, scenes=True, min_duration=0.5)

    assert [part.frames for part in result.parts] == [10, 10]


@pytest.mark.parametrize("name", ["moving.gif", "moving.apng"])
async def test_pictures_that_cannot_be_passed_on_are_encoded_or_refused(stage: Stage, studio: Studio, name: str):
    moving = studio.make(name, "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10", "-t", "1")

    with pytest.raises(BadParams, match=r"mode: (gif|apng) pictures cannot be passed on as they are; exact encodes"):
        await cut(stage, moving, count=2, mode="copy")

    assert [part.frames for part in (await cut(stage, moving, count=2)).parts] == [5, 5]


@pytest.mark.parametrize(("name", "coding"), [("late.ts", "libx264"), ("late.mpg", "mpeg2video")])
async def test_a_clock_that_does_not_begin_at_0_makes_no_piece_longer(
    stage: Stage, studio: Studio, name: str, coding: str
):
    words = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", TONE, "-t", "2"]
    film = studio.make(name, *words, "-c:v", coding, "-c:a", "mp2")

    result = await cut(stage, film, count=2)

    assert [part.duration for part in result.parts] == pytest.approx([1, 1], abs=0.06)
    assert len(studio.listen(stage.kept[1])) == pytest.approx(48_000, abs=3000)
