"""Codecs as players ask for them (RFC 6381), read from the header of a fragmented MP4."""

from callsheet.domain.errors import FFmpegFailed


def codec_string(header: bytes) -> str:
    """Return such as `avc1.64001f` for the picture that the header describes.

    Raises FFmpegFailed when it describes none that is known here.
    """
    for box, read in ((b"avcC", _avc), (b"hvcC", _hevc), (b"av1C", _av1)):
        place = header.find(box)
        if place >= 0:
            return read(header[place + 4 :])
    raise FFmpegFailed("the header of the segments tells no codec")


def _avc(told: bytes) -> str:
    return f"avc1.{told[1:4].hex()}"


def _hevc(told: bytes) -> str:
    space, high_tier, profile = told[1] >> 6, told[1] >> 5 & 1, told[1] & 31
    compatible = int(f"{int.from_bytes(told[2:6]):032b}"[::-1], 2)
    constraints = told[6:12].rstrip(b"\0")
    parts = [
        f"hvc1.{('', 'A', 'B', 'C')[space]}{profile}",
        f"{compatible:X}",
        f"{'H' if high_tier else 'L'}{told[12]}",
        *(f"{byte:X}" for byte in constraints),
    ]
    return ".".join(parts)


def _av1(told: bytes) -> str:
    profile, level = told[1] >> 5, told[1] & 31
    tier = "H" if told[2] >> 7 else "M"
    depth = 12 if told[2] >> 5 & 1 else 10 if told[2] >> 6 & 1 else 8
    return f"av01.{profile}.{level:02d}{tier}.{depth:02d}"
