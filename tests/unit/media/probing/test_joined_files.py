"""Files that were put behind each other, and files that end too early."""

import struct
from pathlib import Path

import pytest

from callsheet.media.probing.joined_files import joined_files
from callsheet.media.probing.mp4_boxes import has_several_descriptions, incomplete_fragment
from callsheet.media.probing.packet_scan import read_dts_header
from callsheet.media.probing.truncation import truncation
from media.studio import Studio

MP4, MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"


@pytest.mark.parametrize(("suffix", "format"), [("mp4", MP4), ("mkv", MATROSKA), ("wav", "wav"), ("flv", "flv")])
def test_each_of_two_joined_files_is_found(studio: Studio, tmp_path: Path, suffix: str, format: str):
    codec = ["-c:a", "pcm_s16le"] if suffix == "wav" else ["-c:a", "aac"]
    one = studio.make(f"one.{suffix}", "-f", "lavfi", "-i", "sine=sample_rate=44100:duration=0.3", *codec)
    both = tmp_path / "both"
    both.write_bytes(one.read_bytes() * 2)

    assert joined_files(one, format) == [0]
    assert joined_files(both, format) == [0, one.stat().st_size]
    assert joined_files(both, "avi") == []


@pytest.mark.parametrize(
    ("second", "starts"),
    [
        ("-c:v mpeg2video -c:a mp2", 1),
        ("-c:v libx264 -c:a mp2", 2),
        ("-c:v mpeg2video -c:a ac3", 2),
        ("-c:v mpeg2video -an", 2),
        ("-c:v mpeg2video -c:a mp2 -mpegts_start_pid 0x200", 2),
        ("-c:v mpeg2video -c:a mp2 -mpegts_pmt_start_pid 0x1100", 1),
    ],
)
def test_a_transport_stream_has_a_part_for_each_other_video_and_audio(
    studio: Studio, tmp_path: Path, second: str, starts: int
):
    source = ["-f", "lavfi", "-i", "color=s=32x32:d=0.2", "-f", "lavfi", "-i", "sine=duration=0.2"]
    parts = [studio.make("part.ts", *source, *options.split()) for options in ("-c:v mpeg2video -c:a mp2", second)]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))

    found = joined_files(both, "mpegts")
    assert len(found) == starts
    # A packet with the names of the programs may stand before their list.
    assert found[-1] in ([0] if starts == 1 else [parts[0].stat().st_size + offset for offset in (0, 188)])


@pytest.mark.parametrize("suffix", ["ts", "m2ts"])
def test_broken_tables_of_a_transport_stream_make_no_part(studio: Studio, tmp_path: Path, suffix: str):
    source = ["-f", "lavfi", "-i", "color=s=32x32:d=0.2", "-c:v", "mpeg2video"]
    content = bytearray(studio.make(f"whole.{suffix}", *source).read_bytes())
    for at in range(5, 1200, 7):
        content[at] ^= 0xFF
    broken = tmp_path / "broken.ts"
    broken.write_bytes(content)

    assert joined_files(broken, "mpegts") == [0]


def test_a_streamed_matroska_is_one_file(studio: Studio):
    live = studio.make("live.mkv", "-f", "lavfi", "-i", "sine=duration=0.3", "-c:a", "aac", "-live", "1")

    assert joined_files(live, MATROSKA) == [0]


def test_a_second_sample_description_is_found(studio: Studio, tmp_path: Path):
    whole = studio.make("plain.mp4", "-f", "lavfi", "-i", "sine=duration=0.3", "-c:a", "aac")
    content = bytearray(whole.read_bytes())
    count_at = content.index(b"stsd") + 8
    content[count_at : count_at + 4] = struct.pack(">I", 2)
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(content)

    assert not has_several_descriptions(whole, 1)
    assert has_several_descriptions(changed, 1)
    assert not has_several_descriptions(changed, 2)


def test_the_start_of_an_incomplete_fragment_is_found(studio: Studio, tmp_path: Path):
    flags = ["-movflags", "frag_keyframe+empty_moov", "-frag_duration", "100000"]
    whole = studio.make("fragments.mp4", "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", *flags)
    content = whole.read_bytes()
    last = content.rindex(b"moof") - 4
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: last + 40])

    assert incomplete_fragment(cut) == last
    assert incomplete_fragment(whole) is None


@pytest.mark.parametrize("suffix", ["w64", "aiff", "caf", "flv"])
def test_the_size_that_a_header_states_shows_that_a_file_is_cut_off(studio: Studio, tmp_path: Path, suffix: str):
    codec = {"w64": "pcm_s16le", "aiff": "pcm_s16be", "caf": "pcm_s16le", "flv": "aac"}[suffix]
    source = "sine=sample_rate=44100:duration=0.5"
    whole = studio.make(f"whole.{suffix}", "-f", "lavfi", "-i", source, "-c:a", codec)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[:-1000])

    assert truncation(whole) is None
    assert str(truncation(cut)).endswith("bytes")


def test_the_format_of_dts_is_read(studio: Studio):
    def header(layout: str, rate: int) -> tuple[int, ...]:
        source = f"anullsrc=channel_layout={layout}:sample_rate={rate}"
        args = ["-f", "lavfi", "-i", source, "-t", "0.1", "-c:a", "dca", "-strict", "-2", "-f", "dts"]
        found = read_dts_header(studio.make(f"{layout}-{rate}.dts", *args).read_bytes()[:12])
        assert found is not None and found[1] == pytest.approx(512 / rate)
        return found[0]

    assert header("stereo", 48_000) != header("5.1(side)", 48_000)
    assert header("stereo", 48_000) != header("stereo", 44_100)
    assert read_dts_header(bytes(12)) is None
