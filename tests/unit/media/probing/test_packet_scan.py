from fractions import Fraction
from pathlib import Path

import pytest

from callsheet.media.ffmpeg.inputs import demuxer_options, forced_demuxer
from callsheet.media.probing.clock_parts import clock_parts
from callsheet.media.probing.h264_headers import allows_fields
from callsheet.media.probing.ogg_chain import chain_links
from callsheet.media.probing.packet_scan import (
    read_ac3_header,
    read_adts_header,
    read_flac_header,
    read_mpeg_header,
)

from ..studio import Studio


@pytest.mark.parametrize(
    ("read", "head", "seconds"),
    [
        (read_adts_header, b"\xff\xf1\x50\x80\x02\x1f\xfc\x00", Fraction(1024, 44_100)),
        (read_mpeg_header, b"\xff\xfb\x90\x64\0\0\0\0", Fraction(1152, 44_100)),
        (read_mpeg_header, b"\xff\xf3\x44\xc4\0\0\0\0", Fraction(576, 24_000)),
        (read_ac3_header, b"\x0b\x77\0\0\x1e\x40\x43\0", Fraction(1536, 48_000)),
        (read_flac_header, b"\xff\xf8\x57\x08\0\0\0\0", None),
    ],
)
def test_the_header_of_an_audio_frame_gives_its_duration(read, head: bytes, seconds: Fraction | None):
    header = read(head)

    assert header is not None
    assert header[1] == seconds
    assert read(b"\0" * 8) is None


def test_a_change_from_stereo_to_surround_is_another_format():
    stereo, surround = b"\x0b\x77\0\0\x1e\x40\x43\0", b"\x0b\x77\0\0\x1e\x40\xe1\0"

    assert read_ac3_header(stereo) != read_ac3_header(surround)


def test_a_difference_channel_is_no_other_format_of_flac():
    assert read_flac_header(b"\xff\xf8\x57\x18\0\0\0\0") == read_flac_header(b"\xff\xf8\x57\x98\0\0\0\0")


@pytest.mark.parametrize(
    ("stated", "unknown"), [(0, True), (0xFFFFFFFF, True), (0x7FFFFFDB, True), (2_000_000_000, True), (4000, False)]
)
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path, stated: int, unknown: bool):
    path = tmp_path / "speech.wav"
    head = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x80\xbb\0\0\0\x77\1\0\2\0\x10\0LIST\2\0\0\0ab"
    path.write_bytes(head + b"data" + stated.to_bytes(4, "little") + bytes(4000))

    assert demuxer_options(path) == ({"ignore_length": "1"} if unknown else {})
    assert (forced_demuxer(path) == "wav") == unknown


def test_the_links_of_a_chained_ogg_are_found(studio: Studio, tmp_path: Path):
    one = studio.make("one.ogg", "-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "libopus").read_bytes()
    (tmp_path / "chained.ogg").write_bytes(one + one)

    assert chain_links(tmp_path / "chained.ogg") == [0, len(one)]
    assert chain_links(studio.sound("no-ogg.wav", "sine", seconds=0.1)) == []


def test_a_stream_is_cut_before_the_tables_of_its_next_part(tmp_path: Path):
    def packet(identifier: int) -> bytes:
        return bytes([0x47, identifier >> 8, identifier & 0xFF]) + bytes(185)

    first = packet(0) + packet(0x100) + packet(0x100)
    (tmp_path / "joined.ts").write_bytes(first + packet(0) + packet(0x1000) + packet(0x100))

    parts = clock_parts(tmp_path / "joined.ts", "mpegts", [len(first) + 2 * 188])

    assert parts == [(0, len(first)), (len(first), len(first) + 3 * 188)]


def test_headers_of_h264_show_whether_frames_may_be_fields(studio: Studio):
    def headers(name: str, *options: str) -> bytes:
        source = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=0.2", "-pix_fmt", "yuv420p"]
        raw = studio.make(name, *source, "-c:v", "libx264", "-preset", "ultrafast", *options, "-f", "h264")
        return raw.read_bytes()[:400]

    assert allows_fields(headers("fields.h264", "-flags", "+ilme+ildct"))
    assert not allows_fields(headers("frames.h264"))
    assert not allows_fields(b"")
