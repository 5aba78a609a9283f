"""What may be asked of a transcode, and what a purpose asks."""

import re

import pytest
from pydantic import ValidationError

from callsheet.media.encoding import codecs
from callsheet.media.transcoding.presets import PURPOSES
from callsheet.media.transcoding.spec import TranscodeSpec, codecs_in, read_bytes, sound_in


def order(**params) -> TranscodeSpec:
    return TranscodeSpec.model_validate({"src": "a.mp4", **params})


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"format": "mov", "video_codec": "vp9"}, "vp9 does not go into mov; mov takes h264, h265"),
        ({"format": "hls", "video_codec": "vp9"}, "vp9 does not go into hls; hls takes h264, h265, av1"),
        ({"bitrate": "1M", "target_size": "8 MB"}, "not bitrate and target_size"),
        ({"target_size": "8 MB", "max_bitrate": "1M"}, "give max_bitrate or target_size, not both"),
        ({"bitrate": "2M", "max_bitrate": "1M"}, "max_bitrate 1000000 is below the bitrate 2000000"),
        ({"target_size": "8 tons"}, "'8 tons' is not a file size: write bytes, or '8 MB'"),
        ({"passes": 2}, "two passes need a bitrate or a target_size"),
        ({"passes": 2, "renditions": [{"height": 90, "bitrate": "1M"}, "240p"]}, "two passes need a bitrate"),
        ({"passes": 2, "bitrate": "1M", "hardware": "auto"}, "two passes are made by the processor"),
        ({"hdr": "keep"}, "h264 does not hold HDR that players show; hdr 'keep' takes h265, vp9, av1"),
        ({"hdr": "keep", "video_codec": "h265", "depth": 8}, "HDR needs a depth of 10"),
        ({"fit": "cover", "width": 100}, "fit needs width and height"),
        ({"renditions": ["720p"], "width": 100}, "give renditions, or one size, not both"),
        ({"renditions": ["720p"], "target_size": "8 MB"}, "target_size is for one file: give each rendition a bitrate"),
        ({"renditions": [{"quality": "low"}]}, "give a rendition its resolution, width or height"),
        ({"renditions": [{"height": 90, "crf": 60}]}, "crf 60 is beyond the 51 that h264 knows"),
        ({"renditions": [{"name": "a", "height": 90}, {"name": "a", "height": 80}]}, "a name of its own"),
        ({"renditions": [{"name": "../a", "height": 90}]}, "pattern"),
        ({"format": "hls", "target_size": "8 MB"}, "target_size is for one file: give hls a bitrate"),
        ({"format": "webm", "sample_rate": 44100}, "opus knows no 44100 Hz; it takes 24000, 48000"),
        ({"format": "mkv", "audio_codec": "flac", "target_size": "8 MB"}, "which flac's cannot"),
    ],
)
def test_what_does_not_go_together_is_refused(params, says):
    with pytest.raises(ValidationError, match=re.escape(says)):
        order(**params)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ValidationError) as refused:
        order(format="webm", video_codec="h264", resolution="720p", width=100, crf=20, quality="low")

    told = str(refused.value)
    assert "h264 does not go into webm" in told
    assert "give resolution, or width and height" in told
    assert "not quality and crf" in told


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
def test_file_sizes_are_read_as_people_write_them(text, bytes):
    assert read_bytes(text) == bytes


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_purpose_is_an_order_that_goes_together(purpose):
    settled = order(purpose=purpose).settled()

    assert {name: getattr(settled, name) for name in PURPOSES[purpose]} == PURPOSES[purpose]
    TranscodeSpec.model_validate({"src": "a.mp4", **PURPOSES[purpose]})


def test_what_is_asked_for_goes_before_the_purpose():
    settled = order(purpose="web", crf=18, height=240, audioBitrate="96k").settled()

    assert (settled.crf, settled.quality) == (18, None)
    assert (settled.height, settled.resolution, settled.upscale) == (240, None, None)
    assert settled.audio_bitrate == 96_000
    assert settled.hdr == "tone_map", "the rest is the purpose's"


def test_a_container_that_is_asked_for_brings_its_own_codecs():
    settled = order(purpose="web", format="webm").settled()

    assert (settled.picture_codec, settled.sound_codec) == ("av1", "opus")


def test_a_target_size_takes_the_place_of_a_purposes_quality_and_limit():
    settled = order(purpose="tiktok", target_size="8 MB").settled()

    assert (settled.quality, settled.max_bitrate, settled.target_size) == (None, None, 8_000_000)


def test_every_container_has_codecs_and_a_type():
    for format in codecs.MUXERS:
        assert codecs_in(format) and sound_in(format) and codecs.MEDIA_TYPES[format]
