"""Files whose header does not state their length, or a wrong one."""

import struct

from ..clips import X264
from ..film_recipes import Edit, concatenated, edited_header, film, remuxed, streamed_film
from ..sound_recipes import half, joined_sound, quiet_then_loud, repeated, sound, streamed, wav_of_size
from ..table import FILTERED, Row, audible

JOINED = "changes its format"
BEHIND = "put behind each other"
_PLAIN = "-write_xing 0 -id3v2_version 0"


def _matroska_duration(factor: float) -> Edit:
    """Return a function that changes the duration in the header of a Matroska file."""

    def change(data: bytes) -> bytes:
        at = data.index(b"\x44\x89\x88") + 3
        (seconds,) = struct.unpack_from(">d", data, at)
        return data[:at] + struct.pack(">d", seconds * factor) + data[at + 8 :]

    return change


def _movie_duration(factor: int) -> Edit:
    """Return a function that changes the duration in the header of an MP4, but not those of its tracks."""

    def change(data: bytes) -> bytes:
        at = data.index(b"mvhd") + 4 + 16
        (units,) = struct.unpack_from(">I", data, at)
        return data[:at] + struct.pack(">I", units * factor) + data[at + 4 :]

    return change


def _without_index(data: bytes) -> bytes:
    return data[: data.rindex(b"idx1")]


def _unknown_samples(data: bytes) -> bytes:
    """Return a FLAC whose header states no number of samples."""
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]


ROWS: tuple[Row, ...] = (
    audible("size-ffffffff.wav", wav_of_size(0xFFFFFFFF, 0xFFFFFFFF)),
    audible("size-7fffffff.wav", wav_of_size(0x7FFFFFFF, 0x7FFFFFFF - 36), skip=FILTERED),
    audible("size-2e9.wav", wav_of_size(2_000_000_036, 2_000_000_000), skip=FILTERED),
    audible("size-0.wav", wav_of_size(0, 0)),
    audible("size-riff-only.wav", wav_of_size(0xFFFFFFFF, 96_000), skip=FILTERED),
    audible("size-short.wav", wav_of_size(36, 0xFFFFFFFF), skip=FILTERED),
    audible("xing.mp3", sound("libmp3lame -q:a 4"), skip=FILTERED),
    audible("no-xing.mp3", sound("libmp3lame -q:a 4", extra=_PLAIN), skip=FILTERED),
    audible("rising-rate.mp3", quiet_then_loud, slack=0.2, skip=FILTERED),
    audible("adts.aac", sound("aac"), skip=FILTERED),
    audible("unknown-samples.flac", edited_header(sound("flac"), "flac", _unknown_samples), skip=FILTERED),
    audible("streamed.flac", streamed("flac", "flac"), skip=FILTERED),
    audible("streamed.webm", streamed("libopus", "webm"), skip=FILTERED),
    audible("streamed.caf", streamed("pcm_s16le", "caf"), skip=FILTERED),
    audible("streamed.aiff", streamed("pcm_s16be", "aiff"), refused="'streamed.aiff'", skip=FILTERED),
    audible("streamed.ogg", streamed("libvorbis", "ogg"), skip=FILTERED),
    audible("streamed.rf64.wav", streamed("pcm_s16le", "wav"), skip=FILTERED),
    audible(
        "fragmented.m4a", sound("aac", extra="-movflags frag_keyframe+empty_moov -frag_duration 500000"), skip=FILTERED
    ),
    audible("joined.mp3", joined_sound("mp3", "libmp3lame", (1, 24_000), (1, 24_000)), slack=0.2, skip=FILTERED),
    audible("joined.aac", joined_sound("aac", "aac", (1, 24_000), (1, 24_000)), slack=0.2, skip=FILTERED),
    audible("joined.ac3", joined_sound("ac3", "ac3", (1, 48_000), (1, 48_000)), slack=0.2, skip=FILTERED),
    audible(
        "joined.amr",
        repeated(half("amr", "libopencore_amrnb -b:a 12.2k", channels=1, hertz=8000), "amr"),
        level=None,
        slack=0.2,
        skip=FILTERED,
    ),
    audible("joined.ogg", joined_sound("ogg", "libopus", (1, 48_000), (1, 48_000)), notes=BEHIND, skip=FILTERED),
    audible("joined.flac", joined_sound("flac", "flac", (1, 24_000), (1, 24_000)), notes=JOINED, skip=FILTERED),
    audible("joined.wav", joined_sound("wav", "pcm_s16le", (1, 24_000), (1, 24_000)), notes=BEHIND, skip=FILTERED),
    audible("joined.m4a", joined_sound("m4a", "aac", (1, 24_000), (1, 24_000)), notes=BEHIND, skip=FILTERED),
    audible("joined.webm", joined_sound("webm", "libopus", (1, 48_000), (1, 48_000)), notes=BEHIND, skip=FILTERED),
    audible(
        "mixed.mp3", joined_sound("mp3", "libmp3lame", (1, 24_000), (2, 44_100)), notes=JOINED, level=None, slack=0.2
    ),
    audible("mixed.aac", joined_sound("aac", "aac", (1, 24_000), (2, 44_100)), notes=JOINED, level=None, slack=0.2),
    audible(
        "mixed.ac3",
        joined_sound("ac3", "ac3", (1, 48_000), (2, 44_100)),
        notes=JOINED,
        level=None,
        slack=0.2,
        skip=FILTERED,
    ),
    audible(
        "mixed.ogg", joined_sound("ogg", "libopus", (1, 48_000), (2, 48_000)), notes=BEHIND, level=None, skip=FILTERED
    ),
    audible(
        "mixed.wav", joined_sound("wav", "pcm_s16le", (1, 24_000), (2, 48_000)), notes=BEHIND, level=None, skip=FILTERED
    ),
    Row("fragmented.mp4", remuxed("-movflags", "frag_keyframe+empty_moov"), skip=FILTERED),
    Row("streamed.mkv", streamed_film("matroska"), skip=FILTERED),
    Row("streamed.webm", streamed_film("webm", "libvpx -deadline realtime -g 25", "libopus", "mkv"), skip=FILTERED),
    Row("streamed.flv", streamed_film("flv"), skip=FILTERED),
    Row("streamed.avi", streamed_film("avi", "mpeg4", "libmp3lame"), skip=FILTERED),
    Row("streamed.ogv", streamed_film("ogg", "libtheora -g 25", "libvorbis", "mkv"), skip=FILTERED),
    Row("live.mkv", film(extra="-live 1"), skip=FILTERED),
    Row("no-index.avi", edited_header(film("mpeg4", "libmp3lame"), "avi", _without_index), skip=FILTERED, notes=""),
    Row("states-twice.mkv", edited_header(film(), "mkv", _matroska_duration(2)), skip=FILTERED),
    Row("states-half.mkv", edited_header(film(), "mkv", _matroska_duration(0.5)), skip=FILTERED),
    Row("states-twice.mp4", edited_header(film(), "mp4", _movie_duration(2)), skip=FILTERED),
    Row("states-nothing.mp4", edited_header(film(), "mp4", _movie_duration(0)), skip=FILTERED),
    Row("cat.mkv", concatenated("mkv"), notes=BEHIND, skip=FILTERED),
    Row("cat.mp4", concatenated("mp4", audio="aac"), notes=BEHIND, skip=FILTERED),
    Row("cat.flv", concatenated("flv", audio="aac -ar 44100"), slack=0.12, notes=BEHIND, skip=FILTERED),
    Row("repeated-frames.avi", film(X264, "aac"), skip=FILTERED),
    audible("middle-of-stream.ogg", remuxed("-output_ts_offset", "1000", source=sound("libopus"), suffix="ogg")),
)
