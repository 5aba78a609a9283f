"""Tiny pictures and videos whose facts are easily read only in part: red, green, blue and white at their corners."""

import struct
import subprocess
from pathlib import Path

from media.studio import Studio
from PIL import Image, ImageCms

SIZE = WIDTH, HEIGHT = 96, 64
COLORS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (240, 240, 240)}
SEEN = ["red", "green", "blue", "white"]
"""The corners from the top left to the bottom right."""
_HALF = (WIDTH // 2, HEIGHT // 2)
_T = Image.Transpose
_STORED = {
    2: _T.FLIP_LEFT_RIGHT,
    3: _T.ROTATE_180,
    4: _T.FLIP_TOP_BOTTOM,
    5: _T.TRANSPOSE,
    6: _T.ROTATE_90,
    7: _T.TRANSVERSE,
    8: _T.ROTATE_270,
}
"""How pixels are stored so that each EXIF orientation shows them upright."""
_MATRICES = {
    "mirrored": (_T.FLIP_LEFT_RIGHT, (-1, 0, 0, 1, WIDTH, 0)),
    "upside down": (_T.FLIP_TOP_BOTTOM, (1, 0, 0, -1, 0, HEIGHT)),
    "transposed": (_T.TRANSPOSE, (0, 1, 1, 0, 0, 0)),
}
"""How pixels are stored, and the display matrix (a, b, c, d, x, y) that shows them upright."""


def corners(image: Image.Image) -> list[str]:
    """Return the names of the nearest colors at the corners; black is a color, too."""
    rgb, named = image.convert("RGB"), {**COLORS, "black": (0, 0, 0)}
    points = [(rgb.width * x // 8, rgb.height * y // 8) for y in (1, 7) for x in (1, 7)]
    pixels = [rgb.getpixel(point) for point in points]
    return [min(named, key=lambda n: sum(abs(a - b) for a, b in zip(pixel, named[n], strict=True))) for pixel in pixels]


def upright(*, clear: bool = False) -> Image.Image:
    """Return the picture; with `clear` its last corner is transparent."""
    image = Image.new("RGBA", SIZE)
    for number, color in enumerate(COLORS.values()):
        x, y = number % 2 * _HALF[0], number // 2 * _HALF[1]
        image.paste((*color, 255), (x, y, x + _HALF[0], y + _HALF[1]))
    if clear:
        image.paste((250, 250, 250, 0), (*_HALF, *SIZE))
        return image
    return image.convert("RGB")


def make_still(folder: Path, kind: str) -> Path:
    """Make a still image: an ending and its EXIF orientation, or one of `profile`, `alpha.avif`."""
    path = folder / f"{kind.replace(' ', '-')}"
    if kind == "profile.jpg":  # the channels are stored in another order, as by a color space of another device
        blue, red, green = upright().split()[2], *upright().split()[:2]
        Image.merge("RGB", (blue, red, green)).save(path, quality=98, icc_profile=_swapped_profile())
    elif kind == "alpha.avif":
        upright(clear=True).save(path, quality=95)
    else:
        exif = Image.Exif()
        exif[0x0112] = number = int(kind[0])
        upright().transpose(_STORED[number]).save(path, quality=98, exif=exif)
    return path


def _swapped_profile() -> bytes:
    """Return the profile of sRGB with its primaries in the order blue, red, green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    entries = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 136 + 12 * n for n in range(count)}
    values = [profile[entries[name] : entries[name] + 8] for name in (b"bXYZ", b"rXYZ", b"gXYZ")]
    for name, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), values, strict=True):
        profile[entries[name] : entries[name] + 8] = value
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "BRGx".encode("utf-16-be")).replace(b"sRGB", b"BRGx")


def make_video(studio: Studio, folder: Path, kind: str) -> Path:
    """Make a video of a few frames: one of `mirrored`, `transposed`, `p3`, `alpha.mov`, `alpha.webp` and the like."""
    if kind == "alpha.webp":
        image, path = upright(clear=True), folder / kind
        image.save(path, save_all=True, append_images=[image.rotate(0)] * 2, duration=100, lossless=True)
        if b"ANMF" not in path.read_bytes():  # equal frames were merged
            other = image.copy()
            other.putpixel((40, 20), (0, 0, 0, 255))
            image.save(path, save_all=True, append_images=[other, image], duration=100, lossless=True)
        return path
    if kind == "alpha.mov":
        return _encode(studio, folder / kind, upright(clear=True), "-c:v", "qtrle")
    if kind == "p3":
        pixels = "scale=out_color_matrix=bt709:out_range=tv,zscale=p=smpte432:pin=709:tin=709:t=709:min=709:m=709"
        tags = ["-colorspace", "bt709", "-color_primaries", "smpte432", "-color_trc", "bt709", "-color_range", "tv"]
        return _encode(studio, folder / "p3.mp4", upright(), "-vf", f"{pixels},format=yuv420p", *_X264, *tags)
    stored, matrix = _MATRICES[kind]
    pixels = ["-vf", "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p"]
    path = _encode(studio, folder / f"{kind.replace(' ', '-')}.mp4", upright().transpose(stored), *pixels, *_X264)
    _write_matrix(path, matrix)
    return path


_X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-bf", "0", "-pix_fmt", "yuv420p"]


def _encode(studio: Studio, path: Path, image: Image.Image, *args: str) -> Path:
    source = path.with_suffix(".source.png")
    image.save(source)
    given = [str(studio.binary), "-v", "error", "-y", "-loop", "1", "-r", "10", "-t", "0.4", "-i", str(source)]
    subprocess.run([*given, *args, str(path)], check=True, timeout=60)
    return path


def _write_matrix(path: Path, matrix: tuple[int, ...]) -> None:
    """Write the display matrix into the header of the track, as cameras do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d, x, y = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, x, y, 1 << 30)
    path.write_bytes(data)


def write_tiled_heic(studio: Studio, path: Path, *, turns: int) -> None:
    """Write a HEIC as phones do: a grid of tiles of HEVC, rotated by so many quarter turns counterclockwise."""
    tile = 64
    image = upright().resize((112, 96), Image.Resampling.NEAREST).rotate(-90 * turns, expand=True)
    columns, rows = -(-image.width // tile), -(-image.height // tile)
    tiles = [
        image.crop((x * tile, y * tile, (x + 1) * tile, (y + 1) * tile)) for y in range(rows) for x in range(columns)
    ]
    coded = [_hevc(studio, each) for each in tiles]
    main = len(tiles) + 1
    data = [each for _, each in coded] + [struct.pack(">4BHH", 0, 0, rows - 1, columns - 1, *image.size)]
    entries = [_box(b"infe", struct.pack(">HH4sB", n, 0, b"hvc1", 0), full=2) for n in range(1, main)]
    entries.append(_box(b"infe", struct.pack(">HH4sB", main, 0, b"grid", 0), full=2))
    properties = [
        _box(b"hvcC", coded[0][0]),
        _box(b"ispe", struct.pack(">II", tile, tile), full=0),
        _box(b"ispe", struct.pack(">II", *image.size), full=0),
        _box(b"irot", bytes([turns])),
    ]
    owners = b"".join(struct.pack(">HBBB", n, 2, 0x81, 2) for n in range(1, main)) + struct.pack(
        ">HBBB", main, 2, 3, 0x84
    )
    grid = _box(b"dimg", struct.pack(f">{main + 1}H", main, main - 1, *range(1, main)))
    head = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(start: int) -> bytes:
        locations = b""
        for number, each in enumerate(data, 1):
            locations += struct.pack(">HHHII", number, 0, 1, start, len(each))
            start += len(each)
        return _box(
            b"meta",
            _box(b"hdlr", bytes(4) + b"pict" + bytes(13), full=0)
            + _box(b"pitm", struct.pack(">H", main), full=0)
            + _box(b"iloc", struct.pack(">HH", 0x4400, len(data)) + locations, full=0)
            + _box(b"iinf", struct.pack(">H", main) + b"".join(entries), full=0)
            + _box(b"iref", grid, full=0)
            + _box(
                b"iprp", _box(b"ipco", b"".join(properties)) + _box(b"ipma", struct.pack(">I", main) + owners, full=0)
            ),
            full=0,
        )

    path.write_bytes(head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", b"".join(data)))


def _box(kind: bytes, body: bytes, full: int | None = None) -> bytes:
    body = body if full is None else struct.pack(">I", full << 24) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _hevc(studio: Studio, tile: Image.Image) -> tuple[bytes, bytes]:
    """Return the decoder configuration and the coded frame of a tile."""
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{tile.width}x{tile.height}", "-i", "-", "-frames:v", "1"]
    settings = "log-level=none:keyint=1:repeat-headers=1:info=0:range=full:colormatrix=smpte170m"
    coding = [
        "-vf",
        "scale=out_color_matrix=bt601:out_range=pc,format=yuv420p",
        "-color_range",
        "pc",
        "-c:v",
        "libx265",
    ]
    coding += ["-x265-params", settings, "-preset", "ultrafast", "-f", "hevc", "-"]
    command = [str(studio.binary), "-v", "error", *given, *coding]
    stream = subprocess.run(command, input=tile.tobytes(), capture_output=True, check=True).stdout
    units = [unit for unit in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
    kinds = {unit[0] >> 1 & 63: unit for unit in units}
    level = kinds[33].replace(b"\0\0\3", b"\0\0")[3:15]
    config = b"\1" + level + b"\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\3"
    for kind in (32, 33, 34):
        config += bytes([0x80 | kind]) + struct.pack(">HH", 1, len(kinds[kind])) + kinds[kind]
    frames = (unit for unit in units if unit[0] >> 1 & 63 < 32)
    return config, b"".join(struct.pack(">I", len(unit)) + unit for unit in frames)
