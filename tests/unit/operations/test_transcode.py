"""Transcode, with real FFmpeg on clips of a second."""

import re

import pytest

from callsheet.domain.checking import validate_params
from callsheet.domain.errors import BadParams, MediaFailed
from callsheet.operations.transcode import TranscodeParams, transcode

LANDSCAPE = "testsrc2=size=160x90:rate=30"
BEEP = "sine=frequency=440:sample_rate=44100"


def wish(src, **params) -> TranscodeParams:
    return TranscodeParams.model_validate({"src": str(src), **params})


async def run(stage, src, **params):
    result = await transcode.run(stage, wish(src, **params))
    return result, stage.kept[-1]


@pytest.mark.parametrize(
    ("format", "codec", "probed", "sound"),
    [
        ("mp4", "h264", "h264", "aac"),
        ("mp4", "h265", "hevc", "aac"),
        ("mp4", "av1", "av1", "aac"),
        ("webm", "vp9", "vp9", "opus"),
        ("webm", "av1", "av1", "opus"),
        ("mkv", "vp9", "vp9", "aac"),
    ],
)
async def test_every_codec_comes_out_in_its_container_with_all_of_its_frames(
    studio, stage, format, codec, probed, sound
):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, file = await run(stage, clip, format=format, video_codec=codec, preset="ultrafast", quality="low")

    found = result.video.probe
    assert found.video_codec == probed and found.audio_codec in (sound, f"lib{sound}")
    assert (found.width, found.height) == (160, 90)
    assert found.duration == pytest.approx(1.0, abs=0.1)
    assert len(studio.look(file, size=(160, 90))) == 30
    assert not result.copied
    assert stage.told == sorted(stage.told) and stage.told[-1] > 0.9


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"format": "webm", "video_codec": "h264"}, "h264 does not go into webm; webm takes av1, vp9"),
        ({"format": "mp4", "video_codec": "vp9"}, "vp9 does not go into mp4; mp4 takes h264, h265, av1"),
        ({"format": "mp4", "audio_codec": "opus"}, "opus does not go into mp4; mp4 takes aac"),
        ({"crf": 20, "quality": "high"}, "give one of quality, crf, bitrate and target_size, not quality and crf"),
        ({"crf": 60}, "crf 60 is beyond the 51 that h264 knows"),
        ({"resolution": "720p", "width": 100}, "give resolution, or width and height, not both"),
        ({"preset": "mediun"}, "mediun"),
        ({"bitrate": "fast"}, "'fast' is not a bit rate"),
        ({"codek": "h264"}, "unknown field"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(params, says):
    with pytest.raises(BadParams, match=re.escape(says)):
        validate_params({"src": "clip.mp4", **params}, TranscodeParams)


def test_bit_rates_are_read_as_people_write_them():
    assert [wish("a", bitrate=b).bitrate for b in ("2.5M", "800k", "64000", 90_000)] == [
        2_500_000,
        800_000,
        64_000,
        90_000,
    ]


async def test_a_video_that_fits_already_is_passed_on_untouched(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, file = await run(stage, clip)

    assert result.copied
    assert (studio.look(file, size=(160, 90)) == studio.look(clip, size=(160, 90))).all()
    assert file.read_bytes().index(b"moov") < file.read_bytes().index(b"mdat"), "playable while it loads"


async def test_a_change_of_container_alone_costs_no_quality(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, file = await run(stage, clip, format="mkv")

    assert result.copied and result.video.media_type == "video/x-matroska"
    assert (studio.look(file, size=(160, 90)) == studio.look(clip, size=(160, 90))).all()


async def test_any_wish_about_the_picture_means_a_new_encode(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, _ = await run(stage, clip, quality="low", preset="ultrafast")

    assert not result.copied


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"resolution": "240p"}, (426, 240)),
        ({"width": 80}, (80, 46)),
        ({"height": 51}, (90, 50)),
        ({"width": 100, "height": 1000}, (100, 56)),
    ],
)
async def test_the_picture_keeps_its_shape_and_has_even_sides(studio, stage, asked, size):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, _ = await run(stage, clip, preset="ultrafast", **asked)

    found = result.video.probe
    assert found.width % 2 == 0 and found.height % 2 == 0
    assert abs(found.width - size[0]) <= 2 and abs(found.height - size[1]) <= 2


async def test_an_odd_size_loses_one_line_at_most(studio, stage):
    odd = studio.make("odd.mkv", "-f", "lavfi", "-i", "testsrc2=size=161x91:rate=30:duration=0.5", "-c:v", "ffv1")

    result, _ = await run(stage, odd, preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height) == (160, 90)


async def test_a_clip_without_sound_stays_without(studio, stage):
    result, _ = await run(stage, studio.clip("silent.mp4", LANDSCAPE), preset="ultrafast")

    assert result.video.probe.audio_codec is None


async def test_mute_takes_the_sound_away_and_leaves_the_picture_alone(studio, stage):
    result, _ = await run(stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), mute=True)

    assert result.video.probe.audio_codec is None and result.copied


async def test_a_turned_clip_comes_out_upright(studio, stage):
    upright = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(upright), "-c", "copy")

    result, file = await run(stage, turned, preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height, result.video.probe.rotation) == (90, 160, 0)
    assert studio.look(file, size=(90, 160)).shape[0] == 30


async def test_uneven_frames_keep_their_times_unless_a_rate_is_asked_for(studio, stage):
    select = "testsrc2=size=160x90:rate=30,select='not(mod(n\\,7))+gt(n\\,40)'"
    uneven = studio.make(
        "uneven.mkv",
        "-f",
        "lavfi",
        "-i",
        select,
        "-t",
        "2",
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    )

    kept, _ = await run(stage, uneven, preset="ultrafast")
    even, file = await run(stage, uneven, preset="ultrafast", fps=25)

    assert kept.video.probe.frames == 25, "6 of the first 41, and the 19 after them"
    assert kept.video.probe.duration == pytest.approx(2, abs=0.1)
    assert even.video.probe.fps == 25
    assert len(studio.look(file, size=(160, 90))) == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    "name", ["with space.mp4", 'it\'s "quoted".mp4', "🎬 film.mp4", "-dash.mp4", "a:b%03d.mp4", "[x],y;z.mp4"]
)
async def test_no_part_of_a_file_name_is_taken_for_anything_else(studio, stage, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(studio.clip("short.mp4", LANDSCAPE, seconds=0.2).read_bytes())

    result, _ = await run(stage, path, preset="ultrafast", width=80)

    assert result.video.probe.width == 80


async def test_a_clip_of_one_frame_is_a_clip(studio, stage):
    one = studio.make(
        "one.mp4", "-f", "lavfi", "-i", LANDSCAPE, "-frames:v", "1", "-c:v", "libx264", "-pix_fmt", "yuv420p"
    )

    result, file = await run(stage, one, format="webm", preset="ultrafast")

    assert len(studio.look(file, size=(160, 90))) == 1
    assert not result.copied


async def test_sound_and_pictures_without_motion_are_refused_in_words(studio, stage):
    with pytest.raises(BadParams, match="no picture in this file"):
        await run(stage, studio.sound("tone.wav", BEEP, seconds=0.2))
    with pytest.raises(BadParams, match="a still picture, not a video"):
        await run(stage, studio.still("still.png"))


async def test_a_file_that_breaks_off_is_not_passed_for_a_whole_one(studio, stage, tmp_path):
    whole = studio.make(
        "early-index.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-t", "3",
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
    ).read_bytes()  # fmt: skip
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(MediaFailed):
        await run(stage, broken, preset="ultrafast", width=160)
    assert not stage.kept


async def test_a_missing_encoder_is_named(studio, stage, monkeypatch):
    from callsheet.media import binary
    from callsheet.media import encoders as module

    able = await binary.capabilities(stage.ffmpeg.binary)

    async def without(_):
        return binary.Capabilities(
            able.version, able.encoders - {"libsvtav1", "libaom-av1"}, able.filters, able.transitions
        )

    monkeypatch.setattr(module, "capabilities", without)
    with pytest.raises(MediaFailed, match="cannot write AV1"):
        await run(stage, studio.clip("short.mp4", LANDSCAPE, seconds=0.2), format="webm")


async def test_the_colours_of_a_picture_survive(studio, stage):
    red = studio.make(
        "red.mkv", "-f", "lavfi", "-i", "color=red:size=160x90:rate=30:duration=0.3,format=gbrp", "-c:v", "ffv1"
    )

    _, file = await run(stage, red, preset="ultrafast", crf=10)

    level = studio.look(file, size=(160, 90), filters="extractplanes=y,scale=in_range=tv:out_range=tv").mean()
    assert level == pytest.approx(63, abs=3), "the level of red in BT.709; by BT.601 it would be 81"


def test_it_is_known_by_the_names_that_systems_before_used():
    assert {"transcode_task"} <= set(transcode.aliases)
    assert (transcode.queue, transcode.needs) == ("transcode", {"ffmpeg"})
