"""Read one fact from the headers of H.264 video: whether its frames may be coded as two fields (ITU-T H.264, 7.3.2.1).

The prober imports this module, so it imports nothing large.
"""

from collections.abc import Iterator

_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 138, 139, 144, 244})
_SEQUENCE_PARAMETERS = 7
_ALL_FORMATS = 3
"""Chroma format 4:4:4, which may have separate planes."""


def allows_fields(headers: bytes) -> bool:
    """Return whether the sequence parameters in the headers allow interlaced frames. False if they cannot be read."""
    for unit in _units(headers):
        if unit and unit[0] & 31 == _SEQUENCE_PARAMETERS:
            try:
                return not _frames_only(_BitReader(unit[1:].replace(b"\0\0\3", b"\0\0")))
            except IndexError:
                return False
    return False


def _units(headers: bytes) -> Iterator[bytes]:
    """Yield the units of headers as in MP4 (`avcC`) or as in a transport stream (Annex B)."""
    if headers[:1] != b"\1":
        yield from headers.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    elif len(headers) > 8:
        yield headers[8 : 8 + int.from_bytes(headers[6:8], "big")]


class _BitReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def bits(self, count: int) -> int:
        value = 0
        for _ in range(count):
            byte = self._data[self._position // 8]
            value = value << 1 | byte >> 7 - self._position % 8 & 1
            self._position += 1
        return value

    def number(self) -> int:
        """Read an unsigned Exp-Golomb number."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Read a signed Exp-Golomb number."""
        number = self.number()
        return (number + 1) // 2 if number % 2 else -(number // 2)


def _frames_only(reader: _BitReader) -> bool:
    profile = reader.bits(8)
    reader.bits(16)  # constraints, level
    reader.number()  # identifier
    if profile in _HIGH_PROFILES:
        _skip_high_profile(reader)
    reader.number()  # frame number length
    order_type = reader.number()
    if order_type == 0:
        reader.number()
    elif order_type == 1:
        reader.bits(1)
        reader.signed()
        reader.signed()
        for _ in range(reader.number()):
            reader.signed()
    reader.number()  # reference frames
    reader.bits(1)
    reader.number()  # width
    reader.number()  # height
    return bool(reader.bits(1))


def _skip_high_profile(reader: _BitReader) -> None:
    chroma_format = reader.number()
    if chroma_format == _ALL_FORMATS:
        reader.bits(1)
    reader.number()  # luma depth
    reader.number()  # chroma depth
    reader.bits(1)
    if not reader.bits(1):
        return
    for number in range(12 if chroma_format == _ALL_FORMATS else 8):
        if reader.bits(1):
            _skip_scaling_list(reader, 16 if number < 6 else 64)


def _skip_scaling_list(reader: _BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed()) % 256
        last = following or last
