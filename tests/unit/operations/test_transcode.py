"""Transcode, with real FFmpeg on clips of a second."""

import re
import subprocess
import time

import numpy as np
import pytest

from callsheet.domain.errors import BadParams, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.media.encoding import encoders, hardware
from callsheet.media.ffmpeg import binary
from callsheet.media.probing.probe import probe_details
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
    with pytest.raises(BadParams, match="no video or image in this file"):
        await run(stage, studio.sound("tone.wav", BEEP, seconds=0.2))
    with pytest.raises(BadParams, match="a still image, not a video"):
        await run(stage, studio.still("still.png"))


async def test_a_file_that_breaks_off_is_not_passed_for_a_whole_one(studio, stage, tmp_path):
    whole = studio.make(
        "early-index.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-t", "3",
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
    ).read_bytes()  # fmt: skip
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(FFmpegFailed):
        await run(stage, broken, preset="ultrafast", width=160)
    assert not stage.kept


async def test_a_missing_encoder_is_named(studio, stage, monkeypatch):
    able = await binary.capabilities(stage.ffmpeg.binary)

    async def without(_):
        return binary.FFmpegCapabilities(
            able.version, able.encoders - {"libsvtav1", "libaom-av1"}, able.filters, able.transitions
        )

    monkeypatch.setattr(encoders, "capabilities", without)
    with pytest.raises(FFmpegFailed, match="cannot encode AV1"):
        await run(stage, studio.clip("short.mp4", LANDSCAPE, seconds=0.2), format="webm")


async def test_the_colours_of_a_picture_survive(studio, stage):
    red = studio.make(
        "red.mkv", "-f", "lavfi", "-i", "color=red:size=160x90:rate=30:duration=0.3,format=gbrp", "-c:v", "ffv1"
    )

    _, file = await run(stage, red, preset="ultrafast", crf=10)

    level = studio.look(file, size=(160, 90), filters="extractplanes=y,scale=in_range=tv:out_range=tv").mean()
    assert level == pytest.approx(63, abs=3), "the level of red in BT.709; by BT.601 it would be 81"


def luma(studio, file, *, deep: bool = False, plane: str = "y") -> np.ndarray:
    """The levels of the first picture as they are stored, in its middle row."""
    pixels, kind = ("gray10le", "<u2") if deep else ("gray", np.uint8)
    command = [str(studio.binary), "-v", "error", "-i", f"file:{file}", "-frames:v", "1"]
    words = ["-vf", f"extractplanes={plane}", "-f", "rawvideo", "-pix_fmt", pixels, "-"]
    raw = subprocess.run([*command, *words], capture_output=True, check=True)
    rows = 72 if plane == "y" else 36
    return np.frombuffer(raw.stdout, kind).reshape(rows, -1)[rows // 2].astype(float)


def ramp(studio, transfer: str, *, tint: int = 0):
    """From black on the left to the brightest on the right, in 10 bits; `tint` colours it."""
    return studio.make(
        "ramp.mp4", "-f", "lavfi", "-i",
        "nullsrc=size=128x72:rate=25:duration=0.2,format=yuv420p10le,"
        f"geq=lum='64+X*876/127':cb={512 - tint}:cr={512 + tint}",
        "-c:v", "libx265", "-preset", "ultrafast", "-crf", "4", "-tag:v", "hvc1", "-color_range", "tv", "-x265-params",
        f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited:hdr10=1:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400",
    )  # fmt: skip


def told_by_ffmpeg(studio, file) -> str:
    command = [str(studio.binary), "-hide_banner", "-i", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(("transfer", "word"), [("smpte2084", "pq"), ("arib-std-b67", "hlg")])
@pytest.mark.parametrize(
    "asked", [{"video_codec": "h265"}, {"video_codec": "av1"}, {"format": "webm", "video_codec": "vp9"}]
)
async def test_hdr_keeps_its_levels_and_says_what_they_mean(studio, stage, transfer, word, asked):
    source = ramp(studio, transfer, tint=100)

    result, file = await run(stage, source, preset="ultrafast", crf=6, **asked)

    picture = (await probe_details(file)).video
    assert (picture.hdr, picture.bit_depth) == (word, 10)
    assert (picture.color_matrix, picture.color_primaries) == ("bt2020nc", "bt2020")
    assert not result.copied and result.notes == []
    for plane in "yuv":
        kept, given = (luma(studio, path, deep=True, plane=plane) for path in (file, source))
        assert abs(kept - given).max() <= 6
    if word == "pq":
        assert "MaxCLL=1000" in told_by_ffmpeg(studio, file), "how bright the film is"


async def test_hdr_that_nobody_could_show_is_mapped_to_ordinary_levels(studio, stage):
    result, file = await run(stage, ramp(studio, "smpte2084"), preset="ultrafast", crf=6)

    picture = (await probe_details(file)).video
    assert (picture.hdr, picture.bit_depth, picture.color_transfer) == (None, 8, "bt709")
    levels = luma(studio, file)
    assert result.notes == ["HDR was mapped to SDR: players do not show it in h264"]
    assert levels[0] == pytest.approx(16, abs=1) and (np.diff(levels) >= -2).all()
    # 100 nits is a white page (level 520 of PQ), 1000 are as bright as this film gets (level 723).
    assert 120 < levels[65] < 170, "a white page has room for highlights above it"
    assert 228 < levels[95] < 240, "the brightest of the film is white"


async def test_mapping_to_sdr_can_be_asked_for(studio, stage):
    result, file = await run(
        stage, ramp(studio, "smpte2084"), preset="ultrafast", crf=6, video_codec="h265", hdr="tone_map", depth=10
    )

    picture = (await probe_details(file)).video
    assert (picture.hdr, picture.bit_depth, picture.color_matrix) == (None, 10, "bt709")
    assert result.notes == []


async def test_deep_colours_stay_deep_where_players_show_them(studio, stage):
    steps = "nullsrc=size=128x72:rate=25:duration=0.2,format=yuv420p10le,geq=lum='400+X':cb=512:cr=512"
    deep = studio.make("deep.mkv", "-f", "lavfi", "-i", steps, "-c:v", "ffv1", "-color_range", "tv")

    _, file = await run(stage, deep, preset="ultrafast", crf=4, video_codec="h265")
    kept = luma(studio, file, deep=True)
    flat, _ = await run(stage, deep, preset="ultrafast", crf=4)

    assert abs(kept - np.arange(400, 528)).max() <= 1, "each step of 1 in 1024 is there"
    assert flat.video.probe.pixel_format == "yuv420p" and "10-bit colours became 8-bit" in flat.notes[0]


async def test_renditions_are_files_of_their_own_with_all_frames(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, _ = await run(
        stage, clip, preset="ultrafast", renditions=[{"height": 36}, {"name": "own", "height": 90}, "1080p"]
    )

    assert [(v.name, v.width, v.height, v.encoder) for v in result.renditions] == [
        ("own", 160, 90, "libx264"),
        ("36p", 64, 36, "libx264"),
    ]
    assert [file.name for file in result.files] == ["video_own.mp4", "video_36p.mp4"]
    assert result.video == result.files[0] and result.size == sum(file.size for file in result.files)
    assert [(file.probe.frames, file.probe.audio_codec) for file in result.files] == [(30, "aac")] * 2
    assert result.notes == ["1080p was left out: the source is 160x90"]
    large = studio.look(stage.kept[0], size=(64, 36), filters="scale=64:36").reshape(-1)
    assert np.corrcoef(large, studio.look(stage.kept[1], size=(64, 36)).reshape(-1))[0, 1] > 0.97


FLASH = (
    "color=black:size=160x90:rate=30:duration=3,drawbox=enable='between(n,45,47)':color=white:t=fill",
    "sine=frequency=1000:duration=3:sample_rate=48000,volume='between(t,1.5,1.6)*8':eval=frame",
)


def flash_and_beep(studio, path, *, options: tuple[str, ...] = ()) -> tuple[float, float]:
    """Seconds at which a film flashes and beeps, by the times that it tells."""
    command = [str(studio.binary), "-v", "error", "-copyts", *options, "-i", str(path)]
    seen = [*command, "-map", "0:v:0", "-vf", "scale=16:16,format=gray,fps=30:start_time=0"]
    raw = subprocess.run([*seen, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    bright = np.frombuffer(raw, np.uint8).reshape(-1, 256).mean(axis=1) > 100
    heard = [*command, "-map", "0:a:0", "-af", "aresample=48000:async=1:first_pts=0", "-ac", "1", "-f", "f32le", "-"]
    sound = np.frombuffer(subprocess.run(heard, capture_output=True, check=True).stdout, "<f4")
    return float(np.argmax(bright)) / 30, float(np.argmax(abs(sound) > 0.2)) / 48_000


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
async def test_hls_plays_from_a_flat_folder_with_sound_and_picture_together(studio, stage, codec):
    words = ["-f", "lavfi", "-i", FLASH[0], "-f", "lavfi", "-i", FLASH[1], "-c:v", "libx264", "-preset", "ultrafast"]
    clip = studio.make("flash.mp4", *words, "-pix_fmt", "yuv420p", "-c:a", "aac")

    result, _ = await run(
        stage, clip, format="hls", segment_seconds=1, video_codec=codec, renditions=[{"height": 90}, {"height": 36}]
    )

    assert result.video is None and result.playlist.name == "master.m3u8"
    assert result.playlist.media_type == "application/vnd.apple.mpegurl"
    names = [file.name for file in result.files]
    assert [path.name for path in stage.kept] == names and len(set(names)) == len(names)
    for playlist in (file for file in stage.kept if file.suffix == ".m3u8"):
        named = re.findall(r'^[^#\n].*$|URI="([^"]+)"', playlist.read_text(), re.MULTILINE)
        assert {name for name in named if name} <= set(names)
    assert sum(name.startswith("90p_0") for name in names) == sum(name.startswith("36p_0") for name in names) == 3
    told = stage.kept[0].read_text()
    assert "RESOLUTION=160x90" in told and "RESOLUTION=64x36" in told and "mp4a.40.2" in told
    flash, beep = flash_and_beep(studio, stage.kept[0], options=("-allowed_extensions", "ALL"))
    assert flash == pytest.approx(1.5, abs=0.034)
    assert beep == pytest.approx(1.515, abs=0.01), "where it is heard in the source"


async def test_every_segment_can_be_played_by_itself(studio, stage, tmp_path):
    clip = studio.clip("three.mp4", LANDSCAPE, seconds=3)

    result, _ = await run(stage, clip, format="hls", segment_seconds=1)

    assert [file.name for file in result.files if file.name.endswith("m4s")] == [
        f"video_{number:05d}.m4s" for number in range(3)
    ]
    folder = stage.kept[0].parent
    for number in range(3):
        alone = tmp_path / f"{number}.mp4"
        alone.write_bytes((folder / "video_init.mp4").read_bytes() + (folder / f"video_{number:05d}.m4s").read_bytes())
        assert len(studio.look(alone, size=(160, 90))) == 30


@pytest.mark.parametrize("asked", [{}, {"format": "webm"}, {"format": "hls", "segment_seconds": 1}])
async def test_sound_that_begins_late_stays_late(studio, stage, asked):
    words = ["-f", "lavfi", "-i", FLASH[0], "-f", "lavfi", "-itsoffset", "0.5", "-i", FLASH[1]]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "flac"]
    late = studio.make("late.mkv", *words, *coding)

    _, file = await run(stage, late, preset="ultrafast", **asked)

    file = next((path for path in stage.kept if path.name == "master.m3u8"), file)
    options = ("-allowed_extensions", "ALL") if file.suffix == ".m3u8" else ()
    assert flash_and_beep(studio, file, options=options)[1] == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("asked", [{"height": 36}, {"format": "mkv"}, {"format": "hls", "segment_seconds": 1}])
async def test_what_a_trimmed_file_hides_stays_hidden(studio, stage, asked):
    words = ["-f", "lavfi", "-i", FLASH[0], "-f", "lavfi", "-i", FLASH[1], "-c:v", "libx264", "-g", "90"]
    whole = studio.make("flash.mp4", *words, "-pix_fmt", "yuv420p", "-c:a", "aac")
    trimmed = studio.make("trimmed.mp4", "-ss", "0.8", "-i", str(whole), "-c", "copy")
    hidden = (await probe_details(trimmed)).probe
    assert hidden.frames > hidden.duration * hidden.fps + 10, "the pictures before the cut are still in the file"

    result, _ = await run(stage, trimmed, **({"preset": "ultrafast"} if "height" in asked else {}), **asked)

    file = stage.kept[0]
    options = ("-allowed_extensions", "ALL") if file.suffix == ".m3u8" else ()
    flash, beep = flash_and_beep(studio, file, options=options)
    assert flash == pytest.approx(0.7, abs=0.034) and beep == pytest.approx(0.7, abs=0.034)
    assert not result.copied


@pytest.mark.parametrize(
    "asked", [{"video_codec": "h264"}, {"video_codec": "h265"}, {"format": "webm", "video_codec": "vp9"}]
)
async def test_a_file_stays_within_its_target_size_and_uses_it(studio, stage, asked):
    noise = "testsrc2=size=160x90:rate=30,noise=alls=30:allf=t"
    clip = studio.clip("noise.mp4", noise, seconds=2, sound=BEEP)

    result, _ = await run(stage, clip, preset="ultrafast", target_size="60 kB", **asked)

    assert 40_000 < result.video.size <= 60_000
    assert result.video.probe.duration == pytest.approx(2, abs=0.1)
    assert stage.told == sorted(stage.told), "one progress over all passes"


async def test_a_target_that_is_too_small_is_refused_with_what_would_do(studio, stage):
    with pytest.raises(BadParams) as refused:
        await run(stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), target_size="10 kB", resolution="1080p")

    assert "that takes about" in refused.value.problems[0].message


@pytest.mark.parametrize(
    ("codec", "encoder"), [("h264", "libx264"), ("h265", "libx265"), ("vp9", "libvpx-vp9"), ("av1", "libaom-av1")]
)
async def test_two_passes_make_one_file(studio, stage, codec, encoder):
    clip = studio.clip("short.mp4", LANDSCAPE, seconds=0.5, sound=BEEP)

    result, _ = await run(
        stage, clip, format="mkv", video_codec=codec, bitrate="200k", passes=2, preset="ultrafast", height=36
    )

    assert (result.encoder, len(stage.kept)) == (encoder, 1)


async def test_two_passes_make_a_ladder(studio, stage):
    clip = studio.clip("short.mp4", LANDSCAPE, seconds=0.5, sound=BEEP)
    renditions = [{"height": 72, "bitrate": "300k"}, {"height": 36, "bitrate": "100k"}]

    result, _ = await run(stage, clip, preset="ultrafast", passes=2, renditions=renditions)

    assert result.files[0].size > 1.5 * result.files[1].size


async def test_a_vertical_platform_gets_its_shape_filled(studio, stage):
    result, file = await run(
        stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP, seconds=0.2), purpose="reels", preset="ultrafast"
    )

    found = result.video.probe
    assert (found.width, found.height, found.video_codec, found.pixel_format) == (1080, 1920, "h264", "yuv420p")
    picture = studio.look(file, size=(108, 192), filters="scale=108:192")[0]
    assert picture[:60].std() > 3, "no black bar above"


async def test_a_purpose_enlarges_nothing(studio, stage):
    result, _ = await run(stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), purpose="web", preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height) == (160, 90)


async def test_a_gpu_that_fails_at_work_is_made_up_for_in_the_same_job(studio, stage, monkeypatch):
    nvenc = encoders.Encoder("h264_nvenc", encoders.EncodeSettings(hardware="nvenc"))
    if nvenc.name not in (await binary.capabilities(stage.ffmpeg.binary)).encoders:
        pytest.skip("this FFmpeg knows no NVENC")
    if (await encoders.select_encoder(stage.ffmpeg, nvenc.settings)).is_hardware:
        pytest.skip("this machine has NVENC")
    believed = {(stage.ffmpeg.binary, nvenc.name, nvenc.pixel_format): (time.monotonic(), None)}
    monkeypatch.setattr(hardware, "_outcomes", believed)

    result, file = await run(
        stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), hardware="nvenc", renditions=[{"height": 36}, "240p"]
    )

    assert result.encoder == "libx264" and len(studio.look(file, size=(64, 36))) == 30
    assert [note for note in result.notes if "encoded again by libx264, because h264_nvenc failed" in note]
    assert len(result.notes) == 2, "the same is told once"
    assert believed[stage.ffmpeg.binary, nvenc.name, nvenc.pixel_format][1] is not None
    assert stage.told == sorted(stage.told)


async def test_sound_is_passed_on_while_the_picture_is_encoded(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    _, file = await run(stage, clip, preset="ultrafast", height=36)

    assert (studio.listen(file) == studio.listen(clip)).all()


def channels(studio, file, count: int) -> list[bool]:
    """Which channels something is heard in."""
    command = [str(studio.binary), "-v", "error", "-i", str(file), "-map", "0:a:0", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return (np.abs(np.frombuffer(raw, "<f4").reshape(-1, count)[4800:-4800]).max(axis=0) > 0.02).tolist()


@pytest.mark.parametrize("format", ["mp4", "webm"])
async def test_surround_sound_is_kept_on_request_and_else_mixed_to_stereo(studio, stage, format):
    pan = "sine=frequency=440:sample_rate=48000,pan=5.1(side)|FL=0*c0|FR=0*c0|FC=c0|LFE=0*c0|SL=0*c0|SR=0.5*c0"
    words = ["-f", "lavfi", "-i", LANDSCAPE, "-f", "lavfi", "-i", pan, "-t", "1"]
    clip = studio.make("surround.mkv", *words, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "flac")

    _, file = await run(stage, clip, preset="ultrafast", format=format, audio_channels=6, height=36)
    assert channels(studio, file, 6) == [False, False, True, False, False, True], "each voice in its own place"

    _, file = await run(stage, clip, preset="ultrafast", format=format, height=36)
    assert channels(studio, file, 2) == [True, True]


async def test_pixels_that_are_not_square_become_square(studio, stage):
    wide = studio.make(
        "wide.mp4", "-f", "lavfi", "-i", "testsrc2=size=120x90:rate=30:duration=0.3", "-vf", "setsar=4/3",
        "-c:v", "libx264", "-pix_fmt", "yuv420p",
    )  # fmt: skip

    result, file = await run(stage, wide, preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height) == (160, 90)
    assert (await probe_details(file)).video.pixel_aspect_ratio in (None, "1:1")


async def test_full_range_pictures_become_ordinary_ones(studio, stage):
    white = studio.make(
        "white.mp4", "-f", "lavfi", "-i", "color=white:size=128x72:rate=30:duration=0.2,format=yuvj420p",
        "-c:v", "libx264", "-pix_fmt", "yuvj420p",
    )  # fmt: skip

    _, file = await run(stage, white, preset="ultrafast", crf=4)

    assert luma(studio, file) == pytest.approx(235, abs=1)


@pytest.mark.parametrize("asked", [{}, {"video_codec": "h265"}, {"fit": "cover", "width": 128, "height": 72}])
async def test_colours_of_a_wide_gamut_are_brought_to_ordinary_screens(studio, stage, asked):
    red = "color=red:size=128x72:rate=25:duration=0.2,format=gbrp,scale=out_color_matrix=bt709:out_range=tv"
    told = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    wider = f"{red},format=yuv420p10le,{told},zscale=p=2020:m=2020_ncl:t=2020_10,format=yuv420p10le"
    words = ["-f", "lavfi", "-i", wider, "-c:v", "libx265", "-preset", "ultrafast", "-crf", "1", "-tag:v", "hvc1"]
    tags = "log-level=error:colorprim=bt2020:colormatrix=bt2020nc:transfer=bt2020-10"
    wide = studio.make("wide-gamut.mp4", *words, "-x265-params", tags)
    assert (await probe_details(wide)).video.color_primaries == "bt2020"
    assert luma(studio, wide, deep=True).mean() > 4 * 80, "there, pure red is far from the edge"

    _, file = await run(stage, wide, preset="ultrafast", crf=4, **asked)

    deep = "video_codec" in asked
    level = luma(studio, file, deep=deep).mean() / (4 if deep else 1)
    assert level == pytest.approx(63, abs=4), "without it, red would be brown"
    assert (await probe_details(file)).video.color_primaries == "bt709"


async def test_faster_videos_are_brought_down_to_a_rate(studio, stage):
    fast = studio.clip("fast.mp4", "testsrc2=size=160x90:rate=120", seconds=0.5)

    result, _ = await run(stage, fast, preset="ultrafast", max_fps=60)

    assert (result.video.probe.fps, result.video.probe.frames) == (60, 30)


@pytest.mark.parametrize("fit", ["cover", "contain", "contain_blur", "fill"])
async def test_a_shape_that_is_asked_for_is_met_to_the_pixel(studio, stage, fit):
    result, _ = await run(
        stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), preset="ultrafast", width=72, height=128, fit=fit
    )

    assert (result.video.probe.width, result.video.probe.height) == (72, 128)


def test_it_is_known_by_the_names_that_systems_before_used():
    assert {"transcode_task"} <= set(transcode.aliases)
    assert (transcode.queue, transcode.needs) == ("transcode", {"ffmpeg"})
