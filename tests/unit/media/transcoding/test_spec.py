"""Validation of transcode parameters, and purposes."""

import re

import pytest
from pydantic import ValidationError

from callsheet.media.encoding import codecs
from callsheet.media.transcoding.presets import PURPOSES
from callsheet.media.transcoding.spec import TranscodeSpec, audio_codecs_in, read_bytes, video_codecs_in


def spec(**params) -> TranscodeSpec:
    return TranscodeSpec.model_validate({"src": "a.mp4", **params})


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"format": "mov", "video_codec": "vp9"}, "mov does not support vp9; supported: h264, h265"),
        ({"format": "hls", "video_codec": "vp9"}, "hls does not support vp9; supported: h264, h265, av1"),
        ({"bitrate": "1M", "target_size": "8 MB"}, "not bitrate and target_size"),
        ({"target_size": "8 MB", "max_bitrate": "1M"}, "give max_bitrate or target_size, not both"),
        ({"bitrate": "2M", "max_bitrate": "1M"}, "max_bitrate 1000000 is below the bitrate 2000000"),
        ({"target_size": "8 tons"}, "'8 tons' is not a file size: write bytes, or '8 MB'"),
        ({"passes": 2}, "two passes need a bitrate or a target_size"),
        ({"passes": 2, "renditions": [{"height": 90, "bitrate": "1M"}, "240p"]}, "two passes need a bitrate"),
        ({"passes": 2, "bitrate": "1M", "hardware": "auto"}, "two passes need the CPU encoder"),
        ({"hdr": "keep"}, "players do not support HDR in h264; hdr 'keep' needs h265, vp9 or av1"),
        ({"hdr": "keep", "video_codec": "h265", "depth": 8}, "HDR needs a depth of 10"),
        ({"fit": "cover", "width": 100}, "fit needs width and height"),
        ({"renditions": ["720p"], "width": 100}, "give renditions, or one size, not both"),
        (
            {"renditions": ["720p"], "target_size": "8 MB"},
            "target_size applies to a single file: give each rendition a bitrate",
        ),
        ({"renditions": [{"quality": "low"}]}, "a rendition needs a resolution, width or height"),
        ({"renditions": [{"height": 90, "crf": 60}]}, "crf 60 is above 51, the maximum of h264"),
        (
            {"renditions": [{"name": "a", "height": 90}, {"name": "a", "height": 80}]},
            "the names of renditions must be unique: a, a",
        ),
        ({"renditions": [{"name": "../a", "height": 90}]}, "pattern"),
        ({"format": "hls", "target_size": "8 MB"}, "target_size applies to a single file: give hls a bitrate"),
        ({"format": "webm", "sample_rate": 44100}, "opus does not support 44100 Hz; supported: 24000, 48000"),
        ({"format": "mkv", "audio_codec": "flac", "target_size": "8 MB"}, "flac has none"),
    ],
)
def test_invalid_combinations_are_rejected(params, says):
    with pytest.raises(ValidationError, match=re.escape(says)):
        spec(**params)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ValidationError) as rejected:
        spec(format="webm", video_codec="h264", resolution="720p", width=100, crf=20, quality="low")

    message = str(rejected.value)
    assert "webm does not support h264" in message
    assert "give resolution, or width and height" in message
    assert "not quality and crf" in message


@pytest.mark.parametrize(
    ("text", "bytes"),
    [
        ("8 MB", 8_000_000),
        ("8MiB", 8 * 2**20),
        ("700kb", 700_000),
        ("1.5 GB", 1_500_000_000),
        ("20000", 20_000),
        (9, 9),
    ],
)
def test_file_sizes_are_read_with_units(text, bytes):
    assert read_bytes(text) == bytes


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_purpose_is_a_valid_spec(purpose):
    resolved = spec(purpose=purpose).resolved()

    assert {name: getattr(resolved, name) for name in PURPOSES[purpose]} == PURPOSES[purpose]
    TranscodeSpec.model_validate({"src": "a.mp4", **PURPOSES[purpose]})


def test_explicit_parameters_override_the_purpose():
    resolved = spec(purpose="web", crf=18, height=240, audioBitrate="96k").resolved()

    assert (resolved.crf, resolved.quality) == (18, None)
    assert (resolved.height, resolved.resolution, resolved.upscale) == (240, None, None)
    assert resolved.audio_bitrate == 96_000
    assert resolved.hdr == "tone_map", "other parameters come from the purpose"


def test_an_explicit_container_uses_its_default_codecs():
    resolved = spec(purpose="web", format="webm").resolved()

    assert (resolved.target_video_codec, resolved.target_audio_codec) == ("av1", "opus")


def test_a_target_size_replaces_the_quality_and_limit_of_the_purpose():
    resolved = spec(purpose="tiktok", target_size="8 MB").resolved()

    assert (resolved.quality, resolved.max_bitrate, resolved.target_size) == (None, None, 8_000_000)


def test_every_container_has_codecs_and_a_media_type():
    for format in codecs.MUXERS:
        assert video_codecs_in(format) and audio_codecs_in(format) and codecs.MEDIA_TYPES[format]
