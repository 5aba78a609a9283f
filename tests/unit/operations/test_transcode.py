"""The `transcode` operation, with real FFmpeg on clips of one second."""

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


def transcode_params(src, **params) -> TranscodeParams:
    return TranscodeParams.model_validate({"src": str(src), **params})


async def run(stage, src, **params):
    result = await transcode.run(stage, transcode_params(src, **params))
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
async def test_every_codec_is_written_to_its_container_with_all_frames(studio, stage, format, codec, probed, sound):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, file = await run(stage, clip, format=format, video_codec=codec, preset="ultrafast", quality="low")

    found = result.video.probe
    assert found.video_codec == probed and found.audio_codec in (sound, f"lib{sound}")
    assert (found.width, found.height) == (160, 90)
    assert found.duration == pytest.approx(1.0, abs=0.1)
    assert len(studio.gray_frames(file, size=(160, 90))) == 30
    assert not result.copied
    assert stage.reported_progress == sorted(stage.reported_progress) and stage.reported_progress[-1] > 0.9


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"format": "webm", "video_codec": "h264"}, "webm does not support h264; supported: av1, vp9"),
        ({"format": "mp4", "video_codec": "vp9"}, "mp4 does not support vp9; supported: h264, h265, av1"),
        ({"format": "mp4", "audio_codec": "opus"}, "mp4 does not support opus; supported: aac"),
        ({"crf": 20, "quality": "high"}, "give one of quality, crf, bitrate and target_size, not quality and crf"),
        ({"crf": 60}, "crf 60 is above 51, the maximum of h264"),
        ({"resolution": "720p", "width": 100}, "give resolution, or width and height, not both"),
        ({"preset": "mediun"}, "mediun"),
        ({"bitrate": "fast"}, "'fast' is not a bit rate"),
        ({"codek": "h264"}, "unknown field"),
    ],
)
def test_invalid_combinations_are_rejected_before_the_job_runs(params, says):
    with pytest.raises(BadParams, match=re.escape(says)):
        validate_params({"src": "clip.mp4", **params}, TranscodeParams)


def test_bit_rates_are_read_with_units():
    assert [transcode_params("a", bitrate=b).bitrate for b in ("2.5M", "800k", "64000", 90_000)] == [
        2_500_000,
        800_000,
        64_000,
        90_000,
    ]


async def test_a_video_that_already_matches_is_stream_copied(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, file = await run(stage, clip)

    assert result.copied
    assert (studio.gray_frames(file, size=(160, 90)) == studio.gray_frames(clip, size=(160, 90))).all()
    assert file.read_bytes().index(b"moov") < file.read_bytes().index(b"mdat"), (
        "fast start: playable during the download"
    )


async def test_a_new_container_alone_copies_the_streams(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, file = await run(stage, clip, format="mkv")

    assert result.copied and result.video.media_type == "video/x-matroska"
    assert (studio.gray_frames(file, size=(160, 90)) == studio.gray_frames(clip, size=(160, 90))).all()


async def test_any_video_parameter_causes_a_new_encode(studio, stage):
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
async def test_the_video_keeps_its_aspect_ratio_and_has_even_sides(studio, stage, asked, size):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    result, _ = await run(stage, clip, preset="ultrafast", **asked)

    found = result.video.probe
    assert found.width % 2 == 0 and found.height % 2 == 0
    assert abs(found.width - size[0]) <= 2 and abs(found.height - size[1]) <= 2


async def test_an_odd_size_loses_one_line_at_most(studio, stage):
    odd = studio.make("odd.mkv", "-f", "lavfi", "-i", "testsrc2=size=161x91:rate=30:duration=0.5", "-c:v", "ffv1")

    result, _ = await run(stage, odd, preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height) == (160, 90)


async def test_a_clip_without_audio_stays_without_audio(studio, stage):
    result, _ = await run(stage, studio.clip("silent.mp4", LANDSCAPE), preset="ultrafast")

    assert result.video.probe.audio_codec is None


async def test_mute_removes_the_audio_and_copies_the_video(studio, stage):
    result, _ = await run(stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), mute=True)

    assert result.video.probe.audio_codec is None and result.copied


async def test_a_rotated_clip_is_encoded_upright(studio, stage):
    upright = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(upright), "-c", "copy")

    result, file = await run(stage, turned, preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height, result.video.probe.rotation) == (90, 160, 0)
    assert studio.gray_frames(file, size=(90, 160)).shape[0] == 30


async def test_variable_frame_rate_is_kept_unless_a_rate_is_set(studio, stage):
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
    assert len(studio.gray_frames(file, size=(160, 90))) == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    "name", ["with space.mp4", 'it\'s "quoted".mp4', "🎬 film.mp4", "-dash.mp4", "a:b%03d.mp4", "[x],y;z.mp4"]
)
async def test_special_characters_in_file_names_are_literal(studio, stage, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(studio.clip("short.mp4", LANDSCAPE, seconds=0.2).read_bytes())

    result, _ = await run(stage, path, preset="ultrafast", width=80)

    assert result.video.probe.width == 80


async def test_a_clip_of_one_frame_is_transcoded(studio, stage):
    one = studio.make(
        "one.mp4", "-f", "lavfi", "-i", LANDSCAPE, "-frames:v", "1", "-c:v", "libx264", "-pix_fmt", "yuv420p"
    )

    result, file = await run(stage, one, format="webm", preset="ultrafast")

    assert len(studio.gray_frames(file, size=(160, 90))) == 1
    assert not result.copied


async def test_audio_files_and_still_images_are_rejected(studio, stage):
    with pytest.raises(BadParams, match="no video or image in this file"):
        await run(stage, studio.sound("tone.wav", BEEP, seconds=0.2))
    with pytest.raises(BadParams, match="a still image, not a video"):
        await run(stage, studio.still("still.png"))


async def test_a_truncated_file_is_converted_as_far_as_it_goes_or_refused(studio, stage, tmp_path):
    whole = studio.make(
        "early-index.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-t", "3",
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
    ).read_bytes()  # fmt: skip
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(BadParams, match="cut off"):
        await run(stage, broken, preset="ultrafast", width=160, strict=True)
    assert not stage.kept

    result, _ = await run(stage, broken, preset="ultrafast", width=160)

    assert "is cut off" in result.notes[0]


async def test_a_missing_encoder_is_reported(studio, stage, monkeypatch):
    able = await binary.capabilities(stage.ffmpeg.binary)

    async def without(_):
        return binary.FFmpegCapabilities(
            able.version, able.encoders - {"libsvtav1", "libaom-av1"}, able.filters, able.transitions
        )

    monkeypatch.setattr(encoders, "capabilities", without)
    with pytest.raises(FFmpegFailed, match="cannot encode AV1"):
        await run(stage, studio.clip("short.mp4", LANDSCAPE, seconds=0.2), format="webm")


async def test_the_colors_of_a_video_are_kept(studio, stage):
    red = studio.make(
        "red.mkv", "-f", "lavfi", "-i", "color=red:size=160x90:rate=30:duration=0.3,format=gbrp", "-c:v", "ffv1"
    )

    _, file = await run(stage, red, preset="ultrafast", crf=10)

    level = studio.gray_frames(file, size=(160, 90), filters="extractplanes=y,scale=in_range=tv:out_range=tv").mean()
    assert level == pytest.approx(63, abs=3), "the level of red in BT.709; by BT.601 it would be 81"


def luma(studio, file, *, deep: bool = False, plane: str = "y") -> np.ndarray:
    """Return the stored levels of the middle row of the first frame."""
    pixels, kind = ("gray10le", "<u2") if deep else ("gray", np.uint8)
    command = [str(studio.binary), "-v", "error", "-i", f"file:{file}", "-frames:v", "1"]
    args = ["-vf", f"extractplanes={plane}", "-f", "rawvideo", "-pix_fmt", pixels, "-"]
    raw = subprocess.run([*command, *args], capture_output=True, check=True)
    rows = 72 if plane == "y" else 36
    return np.frombuffer(raw.stdout, kind).reshape(rows, -1)[rows // 2].astype(float)


def ramp(studio, transfer: str, *, tint: int = 0):
    """Make a 10-bit ramp from black on the left to the maximum on the right; `tint` colors it."""
    return studio.make(
        "ramp.mp4", "-f", "lavfi", "-i",
        "nullsrc=size=128x72:rate=25:duration=0.2,format=yuv420p10le,"
        f"geq=lum='64+X*876/127':cb={512 - tint}:cr={512 + tint}",
        "-c:v", "libx265", "-preset", "ultrafast", "-crf", "4", "-tag:v", "hvc1", "-color_range", "tv", "-x265-params",
        f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited:hdr10=1:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400",
    )  # fmt: skip


def ffmpeg_info(studio, file) -> str:
    command = [str(studio.binary), "-hide_banner", "-i", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(("transfer", "word"), [("smpte2084", "pq"), ("arib-std-b67", "hlg")])
@pytest.mark.parametrize(
    "asked", [{"video_codec": "h265"}, {"video_codec": "av1"}, {"format": "webm", "video_codec": "vp9"}]
)
async def test_hdr_keeps_its_levels_and_metadata(studio, stage, transfer, word, asked):
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
        assert "MaxCLL=1000" in ffmpeg_info(studio, file), "content light level"


async def test_hdr_is_converted_to_sdr_for_h264(studio, stage):
    result, file = await run(stage, ramp(studio, "smpte2084"), preset="ultrafast", crf=6)

    picture = (await probe_details(file)).video
    assert (picture.hdr, picture.bit_depth, picture.color_transfer) == (None, 8, "bt709")
    levels = luma(studio, file)
    assert result.notes == ["HDR was converted to SDR: players do not support HDR in h264"]
    assert levels[0] == pytest.approx(16, abs=1) and (np.diff(levels) >= -2).all()
    # 100 nits is diffuse white (PQ level 520); 1000 nits is the maximum of this video (level 723).
    assert 120 < levels[65] < 170, "headroom for highlights above white"
    assert 228 < levels[95] < 240, "the maximum of the video is white"


async def test_tone_mapping_can_be_requested(studio, stage):
    result, file = await run(
        stage, ramp(studio, "smpte2084"), preset="ultrafast", crf=6, video_codec="h265", hdr="tone_map", depth=10
    )

    picture = (await probe_details(file)).video
    assert (picture.hdr, picture.bit_depth, picture.color_matrix) == (None, 10, "bt709")
    assert result.notes == []


async def test_10_bit_color_is_kept_if_players_support_it(studio, stage):
    steps = "nullsrc=size=128x72:rate=25:duration=0.2,format=yuv420p10le,geq=lum='400+X':cb=512:cr=512"
    deep = studio.make("deep.mkv", "-f", "lavfi", "-i", steps, "-c:v", "ffv1", "-color_range", "tv")

    _, file = await run(stage, deep, preset="ultrafast", crf=4, video_codec="h265")
    kept = luma(studio, file, deep=True)
    flat, _ = await run(stage, deep, preset="ultrafast", crf=4)

    assert abs(kept - np.arange(400, 528)).max() <= 1, "each step of 1 in 1024 is there"
    assert flat.video.probe.pixel_format == "yuv420p" and "10-bit color was converted to 8-bit" in flat.notes[0]


async def test_renditions_are_separate_files_with_all_frames(studio, stage):
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
    assert result.notes == ["1080p was skipped: the source is 160x90"]
    large = studio.gray_frames(stage.kept[0], size=(64, 36), filters="scale=64:36").reshape(-1)
    assert np.corrcoef(large, studio.gray_frames(stage.kept[1], size=(64, 36)).reshape(-1))[0, 1] > 0.97


FLASH = (
    "color=black:size=160x90:rate=30:duration=3,drawbox=enable='between(n,45,47)':color=white:t=fill",
    "sine=frequency=1000:duration=3:sample_rate=48000,volume='between(t,1.5,1.6)*8':eval=frame",
)


def flash_and_beep(studio, path, *, options: tuple[str, ...] = ()) -> tuple[float, float]:
    """Return the timestamps, in seconds, of the flash and the beep of a video."""
    command = [str(studio.binary), "-v", "error", "-copyts", *options, "-i", str(path)]
    seen = [*command, "-map", "0:v:0", "-vf", "scale=16:16,format=gray,fps=30:start_time=0"]
    raw = subprocess.run([*seen, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    bright = np.frombuffer(raw, np.uint8).reshape(-1, 256).mean(axis=1) > 100
    audio = [*command, "-map", "0:a:0", "-af", "aresample=48000:async=1:first_pts=0", "-ac", "1", "-f", "f32le", "-"]
    sound = np.frombuffer(subprocess.run(audio, capture_output=True, check=True).stdout, "<f4")
    return float(np.argmax(bright)) / 30, float(np.argmax(abs(sound) > 0.2)) / 48_000


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
async def test_hls_is_one_flat_folder_with_audio_and_video_in_sync(studio, stage, codec):
    args = ["-f", "lavfi", "-i", FLASH[0], "-f", "lavfi", "-i", FLASH[1], "-c:v", "libx264", "-preset", "ultrafast"]
    clip = studio.make("flash.mp4", *args, "-pix_fmt", "yuv420p", "-c:a", "aac")

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
    master = stage.kept[0].read_text()
    assert "RESOLUTION=160x90" in master and "RESOLUTION=64x36" in master and "mp4a.40.2" in master
    flash, beep = flash_and_beep(studio, stage.kept[0], options=("-allowed_extensions", "ALL"))
    assert flash == pytest.approx(1.5, abs=0.034)
    assert beep == pytest.approx(1.515, abs=0.01), "same time as in the source"


async def test_every_segment_is_independently_playable(studio, stage, tmp_path):
    clip = studio.clip("three.mp4", LANDSCAPE, seconds=3)

    result, _ = await run(stage, clip, format="hls", segment_seconds=1)

    assert [file.name for file in result.files if file.name.endswith("m4s")] == [
        f"video_{number:05d}.m4s" for number in range(3)
    ]
    folder = stage.kept[0].parent
    for number in range(3):
        alone = tmp_path / f"{number}.mp4"
        alone.write_bytes((folder / "video_init.mp4").read_bytes() + (folder / f"video_{number:05d}.m4s").read_bytes())
        assert len(studio.gray_frames(alone, size=(160, 90))) == 30


@pytest.mark.parametrize("asked", [{}, {"format": "webm"}, {"format": "hls", "segment_seconds": 1}])
async def test_a_late_audio_start_is_kept(studio, stage, asked):
    args = ["-f", "lavfi", "-i", FLASH[0], "-f", "lavfi", "-itsoffset", "0.5", "-i", FLASH[1]]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "flac"]
    late = studio.make("late.mkv", *args, *coding)

    _, file = await run(stage, late, preset="ultrafast", **asked)

    file = next((path for path in stage.kept if path.name == "master.m3u8"), file)
    options = ("-allowed_extensions", "ALL") if file.suffix == ".m3u8" else ()
    assert flash_and_beep(studio, file, options=options)[1] == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("asked", [{"height": 36}, {"format": "mkv"}, {"format": "hls", "segment_seconds": 1}])
async def test_frames_hidden_by_an_edit_list_stay_hidden(studio, stage, asked):
    args = ["-f", "lavfi", "-i", FLASH[0], "-f", "lavfi", "-i", FLASH[1], "-c:v", "libx264", "-g", "90"]
    whole = studio.make("flash.mp4", *args, "-pix_fmt", "yuv420p", "-c:a", "aac")
    trimmed = studio.make("trimmed.mp4", "-ss", "0.8", "-i", str(whole), "-c", "copy")
    assert (await probe_details(trimmed)).hidden_frames > 10, "the frames before the cut are still in the file"

    result, _ = await run(stage, trimmed, **({"preset": "ultrafast"} if "height" in asked else {}), **asked)

    file = stage.kept[0]
    options = ("-allowed_extensions", "ALL") if file.suffix == ".m3u8" else ()
    flash, beep = flash_and_beep(studio, file, options=options)
    assert flash == pytest.approx(0.7, abs=0.034) and beep == pytest.approx(0.7, abs=0.034)
    assert not result.copied


@pytest.mark.parametrize(
    "asked", [{"video_codec": "h264"}, {"video_codec": "h265"}, {"format": "webm", "video_codec": "vp9"}]
)
async def test_a_file_stays_below_its_target_size_and_uses_most_of_it(studio, stage, asked):
    noise = "testsrc2=size=160x90:rate=30,noise=alls=30:allf=t"
    clip = studio.clip("noise.mp4", noise, seconds=2, sound=BEEP)

    result, _ = await run(stage, clip, preset="ultrafast", target_size="60 kB", **asked)

    assert 40_000 < result.video.size <= 60_000
    assert result.video.probe.duration == pytest.approx(2, abs=0.1)
    assert stage.reported_progress == sorted(stage.reported_progress), "one monotonic progress over all passes"


async def test_a_too_small_target_is_rejected_with_the_needed_size(studio, stage):
    with pytest.raises(BadParams) as rejected:
        await run(stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), target_size="10 kB", resolution="1080p")

    assert "at least about" in rejected.value.problems[0].message


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


async def test_a_vertical_platform_preset_fills_the_frame(studio, stage):
    result, file = await run(
        stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP, seconds=0.2), purpose="reels", preset="ultrafast"
    )

    found = result.video.probe
    assert (found.width, found.height, found.video_codec, found.pixel_format) == (1080, 1920, "h264", "yuv420p")
    picture = studio.gray_frames(file, size=(108, 192), filters="scale=108:192")[0]
    assert picture[:60].std() > 3, "no black bar above"


async def test_a_purpose_does_not_upscale(studio, stage):
    result, _ = await run(stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), purpose="web", preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height) == (160, 90)


async def test_a_failing_gpu_encode_is_repeated_in_software_in_the_same_job(studio, stage, monkeypatch):
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

    assert result.encoder == "libx264" and len(studio.gray_frames(file, size=(64, 36))) == 30
    assert [note for note in result.notes if "encoded again by libx264, because h264_nvenc failed" in note]
    assert len(result.notes) == 2, "equal notes are reported once"
    assert believed[stage.ffmpeg.binary, nvenc.name, nvenc.pixel_format][1] is not None
    assert stage.reported_progress == sorted(stage.reported_progress)


async def test_audio_is_copied_while_the_video_is_encoded(studio, stage):
    clip = studio.clip("beep.mp4", LANDSCAPE, sound=BEEP)

    _, file = await run(stage, clip, preset="ultrafast", height=36)

    assert (studio.audio_samples(file) == studio.audio_samples(clip)).all()


def channels(studio, file, count: int) -> list[bool]:
    """Return which channels are audible."""
    command = [str(studio.binary), "-v", "error", "-i", str(file), "-map", "0:a:0", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return (np.abs(np.frombuffer(raw, "<f4").reshape(-1, count)[4800:-4800]).max(axis=0) > 0.02).tolist()


@pytest.mark.parametrize("format", ["mp4", "webm"])
async def test_surround_sound_is_kept_on_request_and_otherwise_mixed_to_stereo(studio, stage, format):
    pan = "sine=frequency=440:sample_rate=48000,pan=5.1(side)|FL=0*c0|FR=0*c0|FC=c0|LFE=0*c0|SL=0*c0|SR=0.5*c0"
    args = ["-f", "lavfi", "-i", LANDSCAPE, "-f", "lavfi", "-i", pan, "-t", "1"]
    clip = studio.make("surround.mkv", *args, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "flac")

    _, file = await run(stage, clip, preset="ultrafast", format=format, audio_channels=6, height=36)
    assert channels(studio, file, 6) == [False, False, True, False, False, True], "each channel keeps its position"

    _, file = await run(stage, clip, preset="ultrafast", format=format, height=36)
    assert channels(studio, file, 2) == [True, True]


async def test_non_square_pixels_become_square(studio, stage):
    wide = studio.make(
        "wide.mp4", "-f", "lavfi", "-i", "testsrc2=size=120x90:rate=30:duration=0.3", "-vf", "setsar=4/3",
        "-c:v", "libx264", "-pix_fmt", "yuv420p",
    )  # fmt: skip

    result, file = await run(stage, wide, preset="ultrafast")

    assert (result.video.probe.width, result.video.probe.height) == (160, 90)
    assert (await probe_details(file)).video.pixel_aspect_ratio in (None, "1:1")


async def test_full_range_video_becomes_limited_range(studio, stage):
    white = studio.make(
        "white.mp4", "-f", "lavfi", "-i", "color=white:size=128x72:rate=30:duration=0.2,format=yuvj420p",
        "-c:v", "libx264", "-pix_fmt", "yuvj420p",
    )  # fmt: skip

    _, file = await run(stage, white, preset="ultrafast", crf=4)

    assert luma(studio, file) == pytest.approx(235, abs=1)


@pytest.mark.parametrize("asked", [{}, {"video_codec": "h265"}, {"fit": "cover", "width": 128, "height": 72}])
async def test_wide_gamut_colors_are_converted_to_bt709(studio, stage, asked):
    red = "color=red:size=128x72:rate=25:duration=0.2,format=gbrp,scale=out_color_matrix=bt709:out_range=tv"
    bt709 = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    wider = f"{red},format=yuv420p10le,{bt709},zscale=p=2020:m=2020_ncl:t=2020_10,format=yuv420p10le"
    args = ["-f", "lavfi", "-i", wider, "-c:v", "libx265", "-preset", "ultrafast", "-crf", "1", "-tag:v", "hvc1"]
    tags = "log-level=error:colorprim=bt2020:colormatrix=bt2020nc:transfer=bt2020-10"
    wide = studio.make("wide-gamut.mp4", *args, "-x265-params", tags)
    assert (await probe_details(wide)).video.color_primaries == "bt2020"
    assert luma(studio, wide, deep=True).mean() > 4 * 80, "BT.709 red is far from the edge of BT.2020"

    _, file = await run(stage, wide, preset="ultrafast", crf=4, **asked)

    deep = "video_codec" in asked
    level = luma(studio, file, deep=deep).mean() / (4 if deep else 1)
    assert level == pytest.approx(63, abs=4), "without the conversion, red would be brown"
    assert (await probe_details(file)).video.color_primaries == "bt709"


async def test_a_higher_frame_rate_is_reduced_to_the_limit(studio, stage):
    fast = studio.clip("fast.mp4", "testsrc2=size=160x90:rate=120", seconds=0.5)

    result, _ = await run(stage, fast, preset="ultrafast", max_fps=60)

    assert (result.video.probe.fps, result.video.probe.frames) == (60, 30)


@pytest.mark.parametrize("fit", ["cover", "contain", "contain_blur", "fill"])
async def test_a_requested_size_is_exact(studio, stage, fit):
    result, _ = await run(
        stage, studio.clip("beep.mp4", LANDSCAPE, sound=BEEP), preset="ultrafast", width=72, height=128, fit=fit
    )

    assert (result.video.probe.width, result.video.probe.height) == (72, 128)


def test_aliases_of_seed_systems_are_supported():
    assert {"transcode_task"} <= set(transcode.aliases)
    assert (transcode.queue, transcode.needs) == ("transcode", {"ffmpeg"})
