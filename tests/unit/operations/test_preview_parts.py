"""Scene changes, sprites, posters, animations and waveforms of the `preview` operation."""

import re
from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext
from PIL import Image

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.media.thumbnails.storyboard import grid_for
from callsheet.operations.preview import PreviewParams
from operations.gallery import Gallery, frame_number, make_preview

CUE = re.compile(r"(\d\d):(\d\d):(\d\d\.\d{3}) --> (\d\d):(\d\d):(\d\d\.\d{3})\n([\w.-]+)#xywh=(\d+),(\d+),(\d+),(\d+)")


@pytest.fixture
def stage(tmp_path: Path) -> FakeContext:
    return Gallery(tmp_path)


def make_video(studio, name, *shots, size="160x90", gop=500):
    """Make a video of shots: (filter source, number of frames)."""
    inputs = [
        w for picture, _ in shots for w in ("-f", "lavfi", "-i", f"{picture.format(size=f'size={size}:rate=30')}")
    ]
    cuts = "".join(f"[{n}]trim=end_frame={frames},format=yuv420p[s{n}];" for n, (_, frames) in enumerate(shots))
    join = "".join(f"[s{n}]" for n in range(len(shots))) + f"concat=n={len(shots)}"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", str(gop), "-sc_threshold", "0", "-crf", "12"]
    return studio.make(name, *inputs, "-filter_complex", cuts + join, *coding)


@pytest.fixture
def shots(studio):
    """Three shots with cuts at the frames 25 and 65, of 100; a key frame each half second."""
    shots = [("testsrc2={size}", 25), ("smptebars={size}", 40), ("mandelbrot={size}", 35)]
    return make_video(studio, "shots.mp4", *shots, gop=15)


# Scene changes


@pytest.mark.parametrize("accuracy", ["auto", "exact"])
async def test_scenes_begin_at_the_frame_of_their_cut(stage, shots, accuracy):
    result, _ = await make_preview(stage, shots, at="scene_changes", accuracy=accuracy)

    assert [round(time * 30) for time in result.times] == [0, 25, 65]
    assert len(result.frames) == 3


async def test_with_key_frames_only_a_scene_begins_at_the_next_key_frame(stage, shots):
    result, _ = await make_preview(stage, shots, at="scene_changes", accuracy="keyframe", threshold=20)

    assert [round(time * 30) for time in result.times] == [0, 30, 75]


async def test_a_video_with_one_key_frame_is_searched_completely(studio, stage):
    long = make_video(studio, "one-key.mp4", ("testsrc2={size}", 20), ("smptebars={size}", 20))

    result, _ = await make_preview(stage, long, at="scene_changes")

    assert [round(time * 30) for time in result.times] == [0, 20]


@pytest.mark.parametrize(("accuracy", "gop"), [("auto", 30), ("auto", 500), ("exact", 45)])
async def test_a_scene_begins_after_a_dissolve(studio, stage, accuracy, gop):
    shots = ["testsrc2=size=160x90:rate=30", "smptebars=size=160x90:rate=30", "mandelbrot=size=160x90:rate=30"]
    inputs = [word for shot in shots for word in ("-f", "lavfi", "-t", "4", "-i", shot)]
    # From 2.5 to 3.3 s, and from 5.4 to 6.2 s.
    fades = "xfade=duration=0.8:offset=2.5[a];[a][2]xfade=duration=0.8:offset=5.4,format=yuv420p"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(gop), "-sc_threshold", "0"]
    film = studio.make("dissolves.mp4", *inputs, "-filter_complex", f"[0][1]{fades}", *coding)

    result, _ = await make_preview(stage, film, at="scene_changes", accuracy=accuracy)

    assert len(result.times) == 3
    assert 3.2 <= result.times[1] <= 4.3
    assert 6.1 <= result.times[2] <= 7.2


async def test_neither_a_flash_nor_fast_motion_is_a_scene_change(studio, stage):
    flash = "testsrc2={size},geq=lum='if(eq(N,12),235,lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)'"
    motion = "smptehdbars={size},scroll=horizontal=0.04"
    film = make_video(studio, "flash.mp4", (flash, 30), (motion, 30))

    result, _ = await make_preview(stage, film, at="scene_changes", accuracy="exact")

    assert [round(time * 30) for time in result.times] == [0, 30]


async def test_of_too_many_scenes_those_with_the_largest_changes_are_kept(studio, stage):
    levels = [("color=0x101010:{size}", 10), ("color=0x404040:{size}", 10), ("color=0xf0f0f0:{size}", 10)]
    film = make_video(studio, "levels.mp4", *levels, ("color=0xc0c0c0:{size}", 10), gop=5)

    result, _ = await make_preview(stage, film, at="scene_changes", most=2)

    assert [round(time * 30) for time in result.times] == [0, 20]
    assert result.notes == ["the video has 4 scenes; those with the largest changes were taken"]


async def test_a_higher_threshold_finds_fewer_scenes(studio, stage):
    film = make_video(
        studio, "levels.mp4", *[(f"color={c}:{{size}}", 10) for c in ("0x101010", "0x404040", "0xf0f0f0")]
    )

    result, _ = await make_preview(stage, film, at="scene_changes", threshold=40)

    assert [round(time * 30) for time in result.times] == [0, 20]


# Explicit times


async def test_each_requested_time_has_its_frame_even_twice_and_out_of_order(studio, stage):
    counting = studio.counting("counting.mp4")

    result, files = await make_preview(stage, counting, times=["00:00:01.5", 0.5, 0.5], format="png", width=64)

    levels = [frame_number(files[frame.name]) for frame in result.frames]
    assert result.times == pytest.approx([1.5, 0.5, 0.5], abs=0.001)
    assert levels == pytest.approx([45, 15, 15], abs=0.6)


async def test_all_times_after_the_end_are_reported_at_once(studio, stage):
    with pytest.raises(BadParams) as rejected:
        await make_preview(
            stage, studio.counting("counting.mp4"), times=[1, 7, 8], poster={"time": 9}, animation={"start": 5}
        )

    assert [problem.path for problem in rejected.value.problems] == [
        "times[1]",
        "times[2]",
        "poster.time",
        "animation.start",
    ]
    assert "7 s is after the end of the video, which is 2 s long" in str(rejected.value)


async def test_a_too_short_interval_is_extended_with_a_note(studio, stage):
    result, _ = await make_preview(stage, studio.counting("counting.mp4"), interval=0.1, most=4, accuracy="exact")

    assert result.times == pytest.approx([0, 0.5, 1, 1.5], abs=0.01)
    assert result.notes == ["4 of 20 requested frames were taken, evenly spaced"]


async def test_a_count_above_the_limit_is_reduced(studio, stage):
    result, _ = await make_preview(stage, studio.counting("counting.mp4"), count=5, most=1)

    assert (len(result.frames), result.notes) == (1, ["1 of 5 requested frames were taken, evenly spaced"])


async def test_an_interval_longer_than_the_video_gives_its_first_frame(studio, stage):
    result, _ = await make_preview(stage, studio.counting("counting.mp4"), interval=86_400)

    assert result.times == [0.0]


# Sprite


def read_cues(path: Path):
    """Yield each cue as (start, end, sheet, box)."""
    text = path.read_text()
    assert text.startswith("WEBVTT\n\n")
    for h, m, s, h2, m2, s2, name, x, y, w, hh in CUE.findall(text):
        left, upper = int(x), int(y)
        begin, end = int(h) * 3600 + int(m) * 60 + float(s), int(h2) * 3600 + int(m2) * 60 + float(s2)
        yield begin, end, name, (left, upper, left + int(w), upper + int(hh))


@pytest.mark.parametrize("accuracy", ["auto", "exact", "keyframe"])
async def test_each_tile_of_a_sprite_shows_the_interval_of_its_cue(studio, stage, accuracy):
    counting = studio.counting("counting.mp4", frames=72)  # a key frame every 12 frames

    options = {"interval": 0.4, "columns": 4, "width": 32}
    result, files = await make_preview(stage, counting, sprite=options, format="png", accuracy=accuracy)

    cues = list(read_cues(files[result.sprite.vtt.name]))
    assert [begin for begin, _, _, _ in cues] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2.0])
    assert [end for _, end, _, _ in cues] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.4])
    assert {name for _, _, name, _ in cues} == {sheet.name for sheet in result.sprite.sheets}
    for begin, end, name, box in cues:
        frame = frame_number(files[name], box)
        assert begin * 30 - 0.6 <= frame <= end * 30 - 0.4
        if accuracy == "exact":
            assert frame == pytest.approx((begin + 0.2) * 30, abs=0.6)
    assert (result.frames, result.sprite.count, result.sprite.columns) == ([], 6, 4)


@pytest.mark.parametrize(
    ("tile", "columns", "rows"),
    [((160, 90), 10, 10), ((600, 600), 3, 27), ((640, 1138), 10, 10), ((640, 360), 100, 4), ((16, 1024), 1, 15)],
)
def test_no_sheet_exceeds_the_size_limit_of_webp(tile, columns, rows):
    grid = grid_for(tile, columns)

    assert (grid.columns, grid.rows) == (min(columns, 16_383 // tile[0]), rows)
    assert max(grid.sheet_size(0, 2000)) <= 16_383


async def test_the_last_sheet_ends_with_the_last_tile(studio, stage):
    counting = studio.counting("long-count.mp4", frames=72)

    result, files = await make_preview(
        stage, counting, sprite={"count": 72, "columns": 60, "width": 32}, accuracy="exact"
    )

    cues = list(read_cues(files[result.sprite.vtt.name]))
    assert [Image.open(files[sheet.name]).size for sheet in result.sprite.sheets] == [(60 * 32, 32), (12 * 32, 32)]
    assert [name for _, _, name, _ in cues] == ["sprite-001.jpg"] * 60 + ["sprite-002.jpg"] * 12
    assert [round(frame_number(files[name], box)) for _, _, name, box in cues] == pytest.approx(list(range(72)), abs=1)


async def test_a_sprite_has_defaults(studio, stage):
    result, files = await make_preview(stage, studio.clip("upright.mp4", seconds=2), sprite=True)

    assert (result.sprite.count, result.sprite.width, result.sprite.height) == (2, 160, 284)
    assert Image.open(files[result.sprite.sheets[0].name]).size == (320, 284)


async def test_a_still_image_is_one_tile(studio, stage):
    result, files = await make_preview(stage, studio.still("still.png"), sprite={"count": 20})

    assert result.sprite.count == 1
    assert len(list(read_cues(files["sprite.vtt"]))) == 1


async def test_the_cues_use_the_published_names_of_the_sheets(studio, stage, monkeypatch):
    keep = stage.keep

    async def renaming(path, *, name=None, media_type=None):
        return await keep(path, name=f"kept-{path.name}")

    monkeypatch.setattr(stage, "keep", renaming)

    _, files = await make_preview(stage, studio.counting("counting.mp4"), sprite=True)

    assert {name for _, _, name, _ in read_cues(files["sprite.vtt"])} == {"kept-sprite-001.jpg"}


# Poster


async def test_the_poster_is_sharp_and_neither_blurred_nor_black_nor_white(studio, stage):
    blurred = "mandelbrot={size},gblur=sigma=8"
    shots = [("color=black:{size}", 20), (blurred, 30), ("mandelbrot={size}", 12), ("color=white:{size}", 30)]
    film = make_video(studio, "one-sharp.mp4", *shots, size="320x180", gop=6)

    _, files = await make_preview(stage, film, count=1, poster=True, format="png")

    # The sharp shot has the frames 50 to 61.
    poster = np.asarray(Image.open(files["poster.png"]).convert("L"), float)
    sharp = studio.gray_frames(film, size=(320, 180))[50:62]
    assert min(abs(shot - poster).mean() for shot in sharp) < 2


# Animation


def read_animation(path: Path):
    """Return the frames of an animation in gray, and its duration in seconds."""
    with Image.open(path) as image:
        frames, length = [], 0
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("L"), float))
            length += image.info["duration"]
    return frames, length / 1000


@pytest.mark.parametrize("format", ["webp", "gif"])
async def test_an_animation_begins_at_the_requested_time(studio, stage, format):
    counting = studio.counting("counting.mp4")

    options = {"format": format, "start": 0.5, "seconds": 1, "fps": 10, "width": 64}
    result, files = await make_preview(stage, counting, animation=options)

    frames, length = read_animation(files[f"animation.{format}"])
    numbers = [frame.mean() * 219 / 255 / 3 for frame in frames]
    assert length == pytest.approx(1, abs=0.02)
    assert numbers == pytest.approx([15, 18, 21, 24, 27, 30, 33, 36, 39, 42], abs=1.5)
    assert (result.animation.name, result.frames) == (f"animation.{format}", [])


async def test_highlights_are_good_moments_of_the_whole_video(studio, stage):
    shots = [("color=black:{size}", 30), ("testsrc2={size}", 30), ("smptebars={size}", 30), ("color=white:{size}", 30)]
    film = make_video(studio, "highlights.mp4", *shots, gop=5)

    options = {"seconds": 1, "highlights": 2, "fps": 10, "width": 160}
    _, files = await make_preview(stage, film, animation=options)

    frames, length = read_animation(files["animation.webp"])
    assert length == pytest.approx(1, abs=0.02)
    assert all(20 < frame.mean() < 235 for frame in frames)


async def test_an_animation_has_the_colors_of_the_video(studio, stage):
    red = studio.clip("orange.mp4", "color=0xe08020:size=64x48:rate=10", seconds=0.5)

    for format in ("webp", "gif"):
        _, files = await make_preview(stage, red, animation={"format": format, "width": 63})
        picture = Image.open(files[f"animation.{format}"]).convert("RGB")
        assert picture.size == (63, 47)
        assert picture.getpixel((20, 20)) == pytest.approx((0xE0, 0x80, 0x20), abs=8)


@pytest.mark.parametrize("format", ["webp", "gif"])
async def test_the_width_of_an_animation_is_reduced_until_it_fits(studio, stage, format):
    busy = studio.clip("busy.mp4", "testsrc2=size=320x180:rate=10,noise=alls=60:allf=t", seconds=1)

    result, files = await make_preview(stage, busy, animation={"format": format, "max_bytes": 20_000})

    width = Image.open(files[f"animation.{format}"]).width
    assert files[f"animation.{format}"].stat().st_size <= 20_000
    assert 16 <= width < 320
    assert result.notes == [f"the width of the animation was reduced to {width} pixels to meet maxBytes"]


# Waveform


def column_coverage(path: Path) -> np.ndarray:
    """Return the drawn share of each column of a transparent image, from 0 to 1."""
    return np.asarray(Image.open(path).getchannel("A"), float).mean(axis=0) / 255


@pytest.mark.parametrize("format", ["png", "webp"])
async def test_a_waveform_shows_the_peaks_over_time(studio, stage, format):
    # Half of full scale in the first second, silence in the second, full scale in the third.
    sound = studio.sound("steps.wav", "aevalsrc='sin(2000*t)*(lt(t,1)*0.5+gte(t,2))'", seconds=3)

    result, files = await make_preview(stage, sound, waveform={"width": 300, "height": 100, "format": format})

    drawn = column_coverage(files[f"waveform.{format}"])
    assert (result.frames, result.times, result.waveform.name) == ([], [], f"waveform.{format}")
    assert drawn[2:98] == pytest.approx(np.full(96, 0.5), abs=0.03)
    assert drawn[102:198] == pytest.approx(np.full(96, 0.01), abs=0.005)
    assert drawn[202:298] == pytest.approx(np.full(96, 1), abs=0.03)


async def test_a_waveform_has_the_requested_colors(studio, stage):
    sound = studio.sound("tone.wav", "sine=frequency=300", seconds=0.3)

    _, files = await make_preview(
        stage, sound, waveform={"width": 64, "height": 40, "color": "lime", "background": "#000080"}
    )

    picture = Image.open(files["waveform.png"])
    assert (picture.mode, picture.size) == ("RGB", (64, 40))
    assert [picture.getpixel((30, y)) for y in (0, 20)] == [(0, 0, 128), (0, 255, 0)]


async def test_a_late_audio_start_is_shown_at_its_time(studio, stage):
    args = ["-f", "lavfi", "-i", "color=navy:size=64x64:rate=30:duration=3"]
    args += ["-itsoffset", "1", "-f", "lavfi", "-i", "sine=frequency=300:duration=1", "-c:v", "libx264", "-c:a"]
    film = studio.make("late-sound.mkv", *args, "pcm_s16le")

    _, files = await make_preview(stage, film, waveform={"width": 300, "height": 64})

    loud = column_coverage(files["waveform.png"]) > 0.05
    assert (int(loud.argmax()), int(loud[::-1].argmax())) == pytest.approx((100, 100), abs=3)


async def test_long_audio_is_drawn_from_coarser_peaks_at_the_same_positions(studio, stage):
    # Longer than the maximum number of the finest peaks.
    sound = studio.sound("long.wav", "aevalsrc='0.6*sin(2000*t)*gte(t,25)':s=48000", seconds=40)

    _, files = await make_preview(stage, sound, waveform={"width": 400, "height": 100})

    drawn = column_coverage(files["waveform.png"])
    assert drawn[:249].max() < 0.05
    assert drawn[251:] == pytest.approx(np.full(149, 0.6), abs=0.03)


async def test_all_channels_count_and_opposite_phases_do_not_cancel(studio, stage):
    stereo = studio.sound("opposite.wav", "aevalsrc='0.8*sin(2000*t)|-0.8*sin(2000*t)'", seconds=0.5)
    surround = studio.sound("surround.wav", "aevalsrc='0|0|0|0|0|0.8*sin(2000*t)':c=5.1", seconds=0.5)

    for sound in (stereo, surround):
        _, files = await make_preview(stage, sound, waveform={"width": 50, "height": 100})
        assert column_coverage(files["waveform.png"])[5:45] == pytest.approx(np.full(40, 0.8), abs=0.03)


async def test_audio_with_fewer_samples_than_pixels_is_drawn(studio, stage):
    click = studio.make("click.wav", "-f", "lavfi", "-i", "sine=frequency=300", "-af", "atrim=end_sample=40")

    _, files = await make_preview(stage, click, waveform={"width": 400, "height": 20})

    assert Image.open(files["waveform.png"]).size == (400, 20)


async def test_audio_with_cover_art_has_a_waveform_but_no_frames(studio, stage):
    cover = studio.still("cover.jpg", "testsrc2=size=64x64")
    args = ["-f", "lavfi", "-i", "sine=duration=0.3", "-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy"]
    song = studio.make("song.mp3", *args, "-disposition:v", "attached_pic")

    result, _ = await make_preview(stage, song, waveform=True)
    assert result.waveform is not None
    with pytest.raises(BadParams, match="there is no video or image in this file"):
        await make_preview(stage, song, count=1)


async def test_a_video_without_audio_has_no_waveform(studio, stage):
    with pytest.raises(BadParams, match=r"waveform: 'upright\.mp4' has no audio"):
        await make_preview(stage, studio.clip("upright.mp4", seconds=2), waveform=True, sprite=True)


# Together


async def test_all_images_are_made_in_one_job_and_progress_never_decreases(studio, stage):
    film = studio.clip("talking.mp4", "testsrc2=size=160x90:rate=30", seconds=2, sound="sine")

    result, files = await make_preview(
        stage, film, count=2, contactSheet=True, poster=True, sprite=True, animation={"width": 80}, waveform=True
    )

    names = ["frame-001.jpg", "frame-002.jpg", "contact-sheet.jpg", "poster.jpg", "sprite-001.jpg", "sprite.vtt"]
    assert list(files) == [*names, "animation.webp", "waveform.png"]
    assert stage.reported_progress == sorted(stage.reported_progress)
    assert (stage.reported_progress[-1], result.notes) == (0.95, [])


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"count": 3, "times": [2]}, "give count or times, not both"),
        ({"interval": 3, "times": [2], "at": "scene_changes"}, "give interval or times or at, not all of them"),
        ({"threshold": 3}, "threshold needs at: scene_changes"),
        ({"at": "scenes"}, "'scene_changes'"),
        ({"times": []}, "at least 1 item"),
        ({"sprite": {"count": 3, "interval": 2}}, "give count or interval, not both"),
        ({"sprite": {"colums": 3}}, "did you mean 'columns'?"),
        ({"animation": {"start": 3, "highlights": 2}}, "give start or highlights, not both"),
        ({"animation": {"format": "mp4"}}, "'webp' or 'gif'"),
        ({"waveform": {"color": "blau"}}, "'blau' is not a color"),
    ],
)
def test_invalid_combinations_are_rejected_before_the_job_runs(params, says):
    with pytest.raises(BadParams, match=re.escape(says)):
        validate_params({"src": "clip.mp4", **params}, PreviewParams)


def test_true_and_false_select_the_defaults():
    short = PreviewParams.model_validate({"src": "clip.mp4", "sprite": True, "animation": True, "waveform": False})

    assert (short.sprite.columns, short.animation.format, short.waveform) == (10, "webp", None)
