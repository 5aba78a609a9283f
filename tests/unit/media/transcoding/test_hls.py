"""HLS playlists and codec strings."""

import pytest

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.codec_strings import codec_string

PLAYLIST = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MAP:URI="720p_init.mp4"
#EXTINF:4.000000,
720p_00000.m4s
#EXTINF:1.500000,
720p_00001.m4s
#EXT-X-ENDLIST
"""


@pytest.mark.parametrize(
    ("header", "codec"),
    [
        (b"....avcC\x01\x64\x00\x1f\xff", "avc1.64001f"),
        (b"hvcC\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x5d", "hvc1.1.6.L93.90"),
        (b"hvcC\x01\x22\x20\x00\x00\x00\xb0\x00\x00\x00\x00\x00\x99", "hvc1.2.4.H153.B0"),
        (b"av1C\x81\x08\x0c\x00", "av01.0.08M.08"),
        (b"av1C\x81\x0d\x4c\x00", "av01.0.13M.10"),
    ],
)
def test_codec_strings_follow_rfc_6381(header, codec):
    assert codec_string(header) == codec


def test_a_header_without_a_codec_is_an_error():
    with pytest.raises(FFmpegFailed, match="contains no known codec"):
        codec_string(b"ftypmoov")


def test_a_playlist_lists_its_files_and_their_durations(tmp_path):
    (tmp_path / "720p.m3u8").write_text(PLAYLIST)
    for name, size in (("720p_init.mp4", 10), ("720p_00000.m4s", 1000), ("720p_00001.m4s", 600)):
        (tmp_path / name).write_bytes(bytes(size))

    playlist = hls.read_playlist(tmp_path, "720p")

    assert playlist.files == ["720p.m3u8", "720p_init.mp4", "720p_00000.m4s", "720p_00001.m4s"]
    assert playlist.durations == (4.0, 1.5)
    assert hls.bit_rates(tmp_path, playlist) == (3200, round(1600 * 8 / 5.5))


@pytest.mark.parametrize("missing", ["720p_init.mp4", "720p_00001.m4s"])
def test_a_playlist_with_a_missing_file_is_an_error(tmp_path, missing):
    (tmp_path / "720p.m3u8").write_text(PLAYLIST)
    for name in {"720p_init.mp4", "720p_00000.m4s", "720p_00001.m4s"} - {missing}:
        (tmp_path / name).touch()

    with pytest.raises(FFmpegFailed, match=missing):
        hls.read_playlist(tmp_path, "720p")


def test_an_incomplete_playlist_is_an_error(tmp_path):
    (tmp_path / "720p.m3u8").write_text(PLAYLIST.replace("#EXT-X-ENDLIST", ""))

    with pytest.raises(FFmpegFailed, match="is incomplete"):
        hls.read_playlist(tmp_path, "720p")


def test_the_master_playlist_lists_each_rendition_with_the_audio():
    large = hls.Variant("720p", 900, 800, "avc1.64001f,mp4a.40.2", 1280, 720, 29.97, "SDR")

    text = hls.master_playlist([large], 2)

    assert text.splitlines()[3:] == [
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",'
        'URI="sound.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=900,AVERAGE-BANDWIDTH=800,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,'
        'FRAME-RATE=29.970,VIDEO-RANGE=SDR,AUDIO="sound"',
        "720p.m3u8",
    ]
    assert "AUDIO" not in hls.master_playlist([large], None)


def test_the_last_segment_gets_the_length_that_its_frames_have(tmp_path):
    (tmp_path / "720p.m3u8").write_text(PLAYLIST.replace("#EXTINF:4", "#EXT-X-TARGETDURATION:4\n#EXTINF:4"))
    playlist = hls.Playlist("720p", "720p_init.mp4", ("720p_00000.m4s", "720p_00001.m4s"), (4.0, 1.5))

    longer = hls.with_length(tmp_path, playlist, 10.75)

    text = (tmp_path / "720p.m3u8").read_text()
    assert longer.durations == (4.0, 6.75)
    assert "#EXTINF:4.000000,\n720p_00000.m4s" in text
    assert "#EXTINF:6.750000,\n720p_00001.m4s" in text
    assert "#EXT-X-TARGETDURATION:7\n" in text
    assert hls.with_length(tmp_path, longer, 10.751) == longer
