import struct
from pathlib import Path

import pytest

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.probing.edit_lists import Piece, read_edit_lists, write_without_edit_lists
from callsheet.media.probing.mp4_boxes import Box
from callsheet.media.probing.probe import probe_details
from callsheet.media.probing.segment_index import write_without_segment_indexes, wrong_segment_indexes
from callsheet.media.probing.truncation import truncation

from ..studio import Studio
from .test_mp4_boxes import FTYP, box

FRAGMENT = box(b"moof", b"x" * 12) + box(b"mdat", b"y" * 32)


def movie(*entries: tuple[int, int], version: int = 0, extra: bytes = b"") -> bytes:
    """An index with one track, number 7, in units of 1/1000 s for the movie and 1/48000 s for the track."""
    rows = b"".join(struct.pack(">Iii" if version == 0 else ">Qqi", *entry, 0x10000) for entry in entries)
    edits = box(b"edts", box(b"elst", struct.pack(">B3xI", version, len(entries)) + rows))
    header = box(b"tkhd", bytes(12) + struct.pack(">I", 7) + bytes(60))
    media = box(b"mdia", box(b"mdhd", bytes(12) + struct.pack(">II", 48_000, 0)))
    return FTYP + box(
        b"moov", box(b"mvhd", bytes(12) + struct.pack(">I", 1000)) + box(b"trak", header + edits + media) + extra
    )


@pytest.mark.parametrize("version", [0, 1])
def test_an_edit_list_is_read_in_seconds(tmp_path: Path, version: int):
    path = tmp_path / "a.mp4"
    path.write_bytes(movie((500, -1), (800, 0), (400, 96_000), version=version))

    (found,) = read_edit_lists(path)

    assert (found.track, found.delay, found.is_plain) == (7, 0.5, False)
    assert found.played == (Piece(0.0, 0.8), Piece(2.0, 0.4))


def test_a_delay_and_one_piece_are_plain(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(movie((500, -1), (800, 1024)))

    assert [each.is_plain for each in read_edit_lists(path)] == [True]


def test_entries_that_follow_each_other_are_one_piece(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(movie((1000, 0), (500, 48_000)))

    (found,) = read_edit_lists(path)

    assert found.played == (Piece(0.0, 1.5),)
    assert not found.is_plain


def test_a_recording_in_fragments_has_no_edit_list(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(movie((1000, 0), (500, 0), extra=box(b"mvex")))

    assert read_edit_lists(path) == []


def test_other_files_have_no_edit_list(tmp_path: Path):
    path = tmp_path / "a.mkv"
    path.write_bytes(b"\x1a\x45\xdf\xa3" * 40)

    assert read_edit_lists(path) == []


def test_a_copy_without_edit_lists_differs_only_in_their_name(tmp_path: Path):
    path, copy = tmp_path / "a.mp4", tmp_path / "b.mp4"
    path.write_bytes(movie((1000, 0), (500, 0)))

    write_without_edit_lists(path, copy, read_edit_lists(path))

    assert copy.read_bytes() == path.read_bytes().replace(b"edts", b"free")


async def test_an_edit_list_with_very_many_entries_is_refused(studio: Studio, tmp_path: Path):
    film = studio.clip("film.mp4", "testsrc2=size=64x64:rate=25", seconds=0.2)
    data = film.read_bytes()
    at = data.index(b"elst") + 8
    damaged = tmp_path / "many.mp4"
    damaged.write_bytes(data[:at] + struct.pack(">I", 2**31) + data[at + 4 :])

    with pytest.raises(FFmpegFailed, match="edit list has 2147483648 entries"):
        await probe_details(damaged)


def segment_index(*sizes: int) -> bytes:
    rows = b"".join(struct.pack(">III", size, 1000, 0x90000000) for size in sizes)
    return box(b"sidx", struct.pack(">IIIIIHH", 0, 1, 1000, 0, 0, 0, len(sizes)) + rows)


def test_a_segment_index_that_leads_to_fragments_is_right(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(FTYP + segment_index(len(FRAGMENT), len(FRAGMENT)) + FRAGMENT * 2)

    assert wrong_segment_indexes(path) == []


def test_a_segment_index_of_a_file_that_is_cut_off_is_right(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(FTYP + segment_index(len(FRAGMENT), len(FRAGMENT), len(FRAGMENT)) + FRAGMENT * 2)

    assert wrong_segment_indexes(path) == []


def test_a_segment_index_that_leads_into_a_fragment_is_left_out(tmp_path: Path):
    path, copy = tmp_path / "a.mp4", tmp_path / "b.mp4"
    index = segment_index(len(FRAGMENT) + 8, len(FRAGMENT))
    path.write_bytes(FTYP + index + FRAGMENT * 3)

    found = wrong_segment_indexes(path)
    write_without_segment_indexes(path, copy, found)

    assert found == [Box(b"sidx", len(FTYP), len(index))]
    assert copy.read_bytes() == path.read_bytes().replace(b"sidx", b"free")


def test_an_asf_states_where_its_packets_end(tmp_path: Path):
    path = tmp_path / "a.wmv"
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 30) + bytes(6)
    packets = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 1024) + bytes(1000)

    path.write_bytes(header + packets)
    assert truncation(path) is None
    path.write_bytes(header + packets[:600])
    assert truncation(path) == "it has 630 of 1,054 bytes"
