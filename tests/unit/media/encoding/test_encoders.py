"""Encoders: selection, software fallback, FFmpeg arguments."""

import time
from fractions import Fraction

import pytest

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding import encoders, hardware
from callsheet.media.encoding.color import PQ
from callsheet.media.encoding.encoders import Encoder, EncodeSettings
from callsheet.media.encoding.software_fallback import software_fallback
from callsheet.media.ffmpeg.binary import capabilities
from callsheet.media.ffmpeg.runner import FFmpeg

ALL = frozenset({"libx264", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1"})
TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]


def encoder_args(name: str, settings: EncodeSettings, **more) -> list[str]:
    return Encoder(name, settings).args(**{"rate": Fraction(30), "threads": 2, **more})


def test_x264_by_default():
    assert encoder_args("libx264", EncodeSettings()) == [
        *["-c:v", "libx264", "-crf", "20", "-preset", "medium", "-g", "120", "-threads", "2"],
        *["-pix_fmt", "yuv420p", *TAGS],
    ]


def test_stitchable_segments_have_headers_that_do_not_depend_on_their_content():
    assert encoder_args("libx264", EncodeSettings(), stitchable=True)[8:12] == [
        "-x264-params",
        "stitchable=1",
        "-threads",
        "2",
    ]


def test_x265_keeps_the_bit_depth_and_the_color_space():
    settings = EncodeSettings("h265", crf=18, preset="slow", depth=10, color_space=PQ)

    assert encoder_args("libx265", settings) == [
        *["-c:v", "libx265", "-crf", "18", "-preset", "slow", "-g", "120", "-forced-idr", "1"],
        *["-x265-params", "log-level=error:open-gop=0:pools=2", "-pix_fmt", "yuv420p10le"],
        *["-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-color_range", "tv"],
    ]


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("libx264", EncodeSettings(quality="high", max_bitrate=2000), "-crf 19 -maxrate 2000 -bufsize 4000"),
        ("libx264", EncodeSettings(bitrate=1000), "-b:v 1000 -maxrate 1500 -bufsize 2000"),
        ("libx264", EncodeSettings(bitrate=1000, max_bitrate=1100), "-b:v 1000 -maxrate 1100 -bufsize 2000"),
        ("libvpx-vp9", EncodeSettings("vp9"), "-crf 28 -b:v 0"),
        ("libvpx-vp9", EncodeSettings("vp9", max_bitrate=2000), "-crf 28 -b:v 2000"),
        ("libsvtav1", EncodeSettings("av1", quality="low"), "-crf 40"),
        ("libsvtav1", EncodeSettings("av1", bitrate=1000), "-b:v 1000"),
        ("libaom-av1", EncodeSettings("av1"), "-crf 30 -b:v 0"),
        ("h264_nvenc", EncodeSettings(), "-rc vbr -cq 20 -b:v 0"),
        ("hevc_nvenc", EncodeSettings("h265", bitrate=1000), "-rc vbr -b:v 1000 -maxrate 1500 -bufsize 2000"),
        ("h264_qsv", EncodeSettings(max_bitrate=1000), "-global_quality 20"),
        ("av1_qsv", EncodeSettings("av1"), "-global_quality 24"),
        ("h264_vaapi", EncodeSettings(), "-rc_mode CQP -global_quality 20"),
        ("vp9_vaapi", EncodeSettings("vp9"), "-rc_mode CQP -global_quality 112"),
        ("hevc_videotoolbox", EncodeSettings("h265"), "-q:v 58"),
    ],
)
def test_each_encoder_has_its_own_rate_control_arguments(name, settings, expected):
    args = encoder_args(name, settings)

    assert args[2 : 2 + len(expected.split())] == expected.split()


@pytest.mark.parametrize(
    ("name", "codec", "preset", "speed"),
    [
        ("libvpx-vp9", "vp9", "ultrafast", ["-deadline", "good", "-cpu-used", "8"]),
        ("libsvtav1", "av1", "medium", ["-preset", "8"]),
        ("libaom-av1", "av1", "medium", ["-usage", "good", "-cpu-used", "8"]),
        ("h264_nvenc", "h264", "veryslow", ["-preset", "p7"]),
        ("h264_qsv", "h264", "ultrafast", ["-preset", "veryfast"]),
        ("h264_qsv", "h264", "slow", ["-preset", "slow"]),
    ],
)
def test_a_preset_maps_to_the_speed_of_each_encoder(name, codec, preset, speed):
    args = encoder_args(name, EncodeSettings(codec, preset=preset))

    position = args.index(speed[0])
    assert args[position : position + len(speed)] == speed


def test_key_frames_are_forced_by_time_if_frames_keep_their_timestamps():
    assert encoder_args("libx264", EncodeSettings(), rate=None)[6:12] == [
        "-enc_time_base",
        "1/90000",
        "-g",
        "960",
        "-force_key_frames",
        "expr:isnan(prev_forced_t)+gt(floor((t+0.001)/4),floor((prev_forced_t+0.001)/4))",
    ]


def test_a_segment_has_a_single_key_frame_at_its_start():
    assert encoder_args("libx264", EncodeSettings(), segment=6.0)[6:12] == [
        *[
            "-g",
            "181",
            "-force_key_frames",
            "expr:isnan(prev_forced_t)+gt(floor((t+0.001)/6),floor((prev_forced_t+0.001)/6))",
            "-sc_threshold",
            "0",
        ]
    ]
    assert "scenecut=0" in " ".join(encoder_args("libx265", EncodeSettings("h265"), segment=6.0))


@pytest.mark.parametrize(
    ("name", "depth", "pixel_format"),
    [
        *[("libx264", 8, "yuv420p"), ("libx265", 10, "yuv420p10le"), ("h264_nvenc", 8, "yuv420p")],
        *[("hevc_nvenc", 10, "p010le"), ("h264_qsv", 8, "nv12"), ("hevc_vaapi", 10, "p010le")],
    ],
)
def test_each_encoder_has_its_own_pixel_format(name, depth, pixel_format):
    assert Encoder(name, EncodeSettings(depth=depth)).pixel_format == pixel_format


def test_vaapi_frames_are_uploaded_to_the_device():
    vaapi = Encoder("h264_vaapi", EncodeSettings())

    assert vaapi.last_filters == (("format", {"pix_fmts": "nv12"}), ("hwupload", {}))
    assert vaapi.device_args == ["-init_hw_device", "vaapi=gpu", "-filter_hw_device", "gpu"]
    assert "-pix_fmt" not in vaapi.args(rate=None, threads=1)
    assert Encoder("libx264", EncodeSettings()).device_args == []


def test_two_passes_need_an_encoder_that_supports_them():
    assert encoders.software_encoder(EncodeSettings("av1"), ALL).name == "libsvtav1"
    assert encoders.software_encoder(EncodeSettings("av1", passes=2), ALL).name == "libaom-av1"
    alone = encoders.software_encoder(EncodeSettings("av1", passes=2), {"libsvtav1"})
    assert (alone.name, alone.note) == ("libsvtav1", "encoded in one pass: libsvtav1 does not support two")


def test_a_codec_without_an_encoder_is_an_error():
    with pytest.raises(FFmpegFailed, match=r"cannot encode VP9: it lacks libvpx-vp9\. Set FFMPEG_PATH"):
        encoders.software_encoder(EncodeSettings("vp9"), {"libx264"})


@pytest.mark.parametrize("kind", ["nvenc", "qsv", "vaapi", "videotoolbox", "auto"])
async def test_hardware_is_used_if_a_test_encode_succeeds_and_else_a_note_has_the_reason(ffmpeg: FFmpeg, kind):
    chosen = await encoders.select_encoder(ffmpeg, EncodeSettings(hardware=kind))

    if chosen.is_hardware:
        assert chosen.note is None
    else:
        assert chosen.name == "libx264"
        assert "encoded by libx264, not on the GPU (h264_" in (chosen.note or "")


@pytest.fixture
def trial_encodes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of the test encodes, all of which succeed."""
    attempts: list[list[str]] = []

    async def succeed(_: FFmpeg, args: list[str]) -> str | None:
        attempts.append(args)
        return None

    monkeypatch.setattr(hardware, "_test_encode", succeed)
    monkeypatch.setattr(hardware, "_outcomes", {})
    return attempts


@pytest.fixture
async def with_nvenc(ffmpeg: FFmpeg) -> None:
    if "h264_nvenc" not in (await capabilities(ffmpeg.binary)).encoders:
        pytest.skip("this FFmpeg lacks NVENC")


@pytest.mark.usefixtures("with_nvenc")
async def test_the_outcome_of_a_test_encode_is_cached_for_each_pixel_format(ffmpeg, trial_encodes, monkeypatch):
    eight, ten = EncodeSettings("h265", hardware="nvenc"), EncodeSettings("h265", hardware="nvenc", depth=10)

    for settings in (eight, eight, ten, ten):
        assert (await encoders.select_encoder(ffmpeg, settings)).name == "hevc_nvenc"

    assert ["p010le" in " ".join(args) for args in trial_encodes] == [False, True]
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    await encoders.select_encoder(ffmpeg, eight)
    assert len(trial_encodes) == 3


@pytest.mark.usefixtures("with_nvenc")
async def test_an_encoder_that_failed_in_a_job_is_excluded_for_a_while(ffmpeg, trial_encodes):
    settings = EncodeSettings(hardware="nvenc")
    failed = await encoders.select_encoder(ffmpeg, settings)

    fallback = await software_fallback(ffmpeg, failed, "it caught fire")

    assert (fallback.name, fallback.note) == (
        "libx264",
        "encoded again by libx264, because h264_nvenc failed: it caught fire",
    )
    again = await encoders.select_encoder(ffmpeg, settings)
    assert (again.name, again.note) == ("libx264", "encoded by libx264, not on the GPU (h264_nvenc: it caught fire)")
    assert len(trial_encodes) == 1
