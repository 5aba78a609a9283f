"""The FFmpeg arguments of audio, at the default bitrates."""

import pytest

from callsheet.media.encoding.audio_bitrates import RENDER_AAC
from callsheet.media.encoding.codecs import Format, audio_args
from callsheet.media.encoding.stream_copy_rules import default_audio_args


@pytest.mark.parametrize(
    ("format", "layout", "expected"),
    [
        ("mp4", "mono", "-c:a aac -b:a 96k"),
        ("mp4", "stereo", "-c:a aac -b:a 192k"),
        ("mkv", "5.1", "-c:a aac -b:a 384k"),
        ("webm", "stereo", "-c:a libopus -b:a 128k"),
        ("webm", "5.1", "-c:a libopus -b:a 256k -mapping_family:a 1"),
    ],
)
def test_a_container_has_a_default_bitrate_per_channel(format: Format, layout: str, expected: str):
    assert default_audio_args(format, layout) == expected.split()


def test_one_track_of_several_can_be_encoded():
    expected = "-c:a:2 libopus -b:a:2 256k -mapping_family:a:2 1"

    assert default_audio_args("webm", "5.1", track=2) == expected.split()


def test_a_rendition_has_a_lower_default_bitrate_than_a_master():
    assert audio_args("aac", None) == ["-c:a", "aac", "-b:a", "160000", "-ar", "48000"]
    assert audio_args("opus", None) == ["-c:a", "libopus", "-b:a", "112000", "-ar", "48000"]
    assert audio_args("aac", RENDER_AAC) == ["-c:a", "aac", "-b:a", "192000", "-ar", "48000"]


def test_flac_has_no_bitrate():
    assert audio_args("flac", 64_000, sample_rate=44_100) == ["-c:a", "flac", "-ar", "44100"]
