"""H.264 whose frames are coded as two fields (PAFF), as broadcasts and camcorders have it. FFmpeg cannot encode it.

Each macroblock holds its samples without compression (I_PCM), so that the writer needs no prediction.
"""

from collections.abc import Iterator, Sequence

import numpy as np

_BLOCK = 16
_SEQUENCE, _PICTURE, _KEY_SLICE, _SLICE = 0x67, 0x68, 0x65, 0x61
"""First bytes of units: importance and type."""
_PCM_BLOCK = 25


class _Bits:
    """Writes bits, and the numbers of ITU-T H.264, section 9.1."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def fixed(self, value: int, count: int = 1) -> None:
        self._bits.append(f"{value:0{count}b}")

    def numbers(self, *values: int) -> None:
        for value in values:
            self._bits.append("0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}")

    def aligned(self) -> bytes:
        text = "".join(self._bits)
        self._bits = []
        return int(text.ljust((len(text) + 7) // 8 * 8, "0"), 2).to_bytes((len(text) + 7) // 8, "big")

    def finished(self) -> bytes:
        self.fixed(1)
        return self.aligned()


def field_coded(frames: np.ndarray, width: int, height: int, first: str) -> bytes:
    """Return a stream of frames in yuv420p, an array of frames by bytes. `first` is the field that is shown first."""
    pictures = [_planes(frame, width, height) for frame in frames]
    units = [_sequence(width, height), _picture()]
    order = (0, 1) if first == "top" else (1, 0)
    for number, planes in enumerate(pictures):
        for is_second, parity in enumerate(order):
            fields = [plane[parity::2] for plane in planes]
            units.append(_slice(fields, number % 2, is_second=bool(is_second), bottom=parity))
    return b"".join(b"\0\0\0\1" + unit[:1] + _escaped(unit[1:]) for unit in units)


def _planes(frame: np.ndarray, width: int, height: int) -> list[np.ndarray]:
    luma, chroma = width * height, width * height // 4
    cuts = np.split(frame, [luma, luma + chroma])
    return [cuts[0].reshape(height, width), *(cut.reshape(height // 2, width // 2) for cut in cuts[1:])]


def _sequence(width: int, height: int) -> bytes:
    bits = _Bits()
    for value in (77, 0, 30):  # main profile, level 3
        bits.fixed(value, 8)
    bits.numbers(0, 0, 0, 4, 1)
    bits.fixed(0)
    bits.numbers(width // _BLOCK - 1, height // _BLOCK // 2 - 1)
    for flag in (0, 0, 1, 0, 1, 0, 0, 1):  # fields, no adaptive frames …, with color and timing
        bits.fixed(flag)
    bits.fixed(5, 3)
    for flag in (0, 1):
        bits.fixed(flag)
    for _ in range(3):
        bits.fixed(1, 8)  # BT.709
    for flag in (0, 1):
        bits.fixed(flag)
    for value in (1, 50):  # fields per second
        bits.fixed(value, 32)
    for flag in (1, 0, 0, 0, 0):
        bits.fixed(flag)
    return bytes([_SEQUENCE]) + bits.finished()


def _picture() -> bytes:
    bits = _Bits()
    bits.numbers(0, 0)
    bits.fixed(0, 2)
    bits.numbers(0, 0, 0)
    bits.fixed(0, 3)
    bits.numbers(0, 0, 0)
    bits.fixed(0b100, 3)
    return bytes([_PICTURE]) + bits.finished()


def _slice(planes: Sequence[np.ndarray], number: int, *, is_second: bool, bottom: int) -> bytes:
    bits = _Bits()
    bits.numbers(0, 7, 0)
    bits.fixed(0, 4)
    bits.fixed(1)
    bits.fixed(bottom)
    if not is_second:
        bits.numbers(number)
    bits.fixed(int(is_second), 8)
    bits.fixed(0, 1 if is_second else 2)
    bits.numbers(0, 1)
    content = [bytes([_SLICE if is_second else _KEY_SLICE])]
    for block in _blocks(planes):
        bits.numbers(_PCM_BLOCK)
        content += [bits.aligned(), block]
    return b"".join(content) + b"\x80"


def _blocks(planes: Sequence[np.ndarray]) -> Iterator[bytes]:
    """Yield the samples of each macroblock, row by row."""
    luma = planes[0]
    for top in range(0, luma.shape[0], _BLOCK):
        for left in range(0, luma.shape[1], _BLOCK):
            areas = [(plane, _BLOCK if plane is luma else _BLOCK // 2) for plane in planes]
            yield b"".join(
                plane[top * side // _BLOCK :][:side, left * side // _BLOCK :][:, :side].tobytes()
                for plane, side in areas
            )


def _escaped(unit: bytes) -> bytes:
    """Return a unit in which no start code can occur."""
    result, zeros = bytearray(), 0
    for byte in unit:
        if zeros >= 2 and byte <= 3:
            result.append(3)
            zeros = 0
        result.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(result)
