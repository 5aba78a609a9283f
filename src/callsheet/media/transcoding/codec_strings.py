"""RFC 6381 codec strings, read from the header of a fragmented MP4."""

from callsheet.domain.errors import FFmpegFailed


def codec_string(header: bytes) -> str:
    """Return the codec string of the video, such as `avc1.64001f`.

    Raises FFmpegFailed if the header contains no known video configuration box.
    """
    for box, read in ((b"avcC", _avc), (b"hvcC", _hevc), (b"av1C", _av1)):
        position = header.find(box)
        if position >= 0:
            return read(header[position + 4 :])
    raise FFmpegFailed("the segment header contains no known codec")


def _avc(config: bytes) -> str:
    return f"avc1.{config[1:4].hex()}"


def _hevc(config: bytes) -> str:
    space, high_tier, profile = config[1] >> 6, config[1] >> 5 & 1, config[1] & 31
    compatibility = int(f"{int.from_bytes(config[2:6]):032b}"[::-1], 2)
    constraints = config[6:12].rstrip(b"\0")
    parts = [
        f"hvc1.{('', 'A', 'B', 'C')[space]}{profile}",
        f"{compatibility:X}",
        f"{'H' if high_tier else 'L'}{config[12]}",
        *(f"{byte:X}" for byte in constraints),
    ]
    return ".".join(parts)


def _av1(config: bytes) -> str:
    profile, level = config[1] >> 5, config[1] & 31
    tier = "H" if config[2] >> 7 else "M"
    depth = 12 if config[2] >> 5 & 1 else 10 if config[2] >> 6 & 1 else 8
    return f"av01.{profile}.{level:02d}{tier}.{depth:02d}"
