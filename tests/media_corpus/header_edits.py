"""Changes of headers and indexes, as devices and damaged recordings have them."""

import struct

from .film_recipes import Edit

_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_INDEX = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb")
_FLV_HEADER = 13
_MATROSKA_CUES = b"\x1c\x53\xbb\x6b"
_MATROSKA_DURATION = b"\x44\x89\x88"


def asf_seconds(factor: float) -> Edit:
    """Return a function that changes the durations in the header of an ASF."""

    def change(data: bytes) -> bytes:
        at = data.index(_ASF_PROPERTIES) + 24 + 40
        play, send = struct.unpack_from("<QQ", data, at)
        return data[:at] + struct.pack("<QQ", round(play * factor), round(send * factor)) + data[at + 16 :]

    return change


def without_asf_index(data: bytes) -> bytes:
    return data[: data.rindex(_ASF_INDEX)]


def wrong_asf_index(data: bytes) -> bytes:
    at = data.rindex(_ASF_INDEX) + 56
    return data[:at] + b"\xff" * (len(data) - at)


def flv_seconds(seconds: float) -> Edit:
    """Return a function that changes the duration in the metadata of an FLV."""

    def change(data: bytes) -> bytes:
        at = data.index(b"\x00\x08duration") + 11
        return data[:at] + struct.pack(">d", seconds) + data[at + 8 :]

    return change


def without_flv_metadata(data: bytes) -> bytes:
    size = int.from_bytes(data[_FLV_HEADER + 1 : _FLV_HEADER + 4], "big")
    return data[:_FLV_HEADER] + data[_FLV_HEADER + 11 + size + 4 :]


def without_matroska_duration(data: bytes) -> bytes:
    at = data.index(_MATROSKA_DURATION)
    return data[:at] + b"\xec\x89" + bytes(9) + data[at + 11 :]


def without_matroska_cues(data: bytes) -> bytes:
    return data[: data.rindex(_MATROSKA_CUES)]


def without_fragment_index(data: bytes) -> bytes:
    return data[: data.rindex(b"mfra") - 4]


def wrong_segment_index(data: bytes) -> bytes:
    """Return an MP4 whose segment index leads too far from fragment to fragment, and states too long ones."""
    at = data.index(b"sidx") + 4 + 30
    (count,) = struct.unpack_from(">H", data, at)
    changed = bytearray(data)
    for number in range(count):
        size, seconds = struct.unpack_from(">II", changed, at + 2 + 12 * number)
        struct.pack_into(">II", changed, at + 2 + 12 * number, size * 3, seconds * 5 & 0xFFFF_FFFF)
    return bytes(changed)
