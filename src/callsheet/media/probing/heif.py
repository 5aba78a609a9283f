"""The main image of a HEIC or AVIF file (ISO 23008-12): its size, its tiles, its alpha channel, its colors.

The demuxer lists the coded parts of such a file, each as a stream: tiles, the alpha channel, thumbnails. Only the boxes
show what belongs together.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.media.ffmpeg.orientation import Orientation

_MAX_META_BYTES = 16 * 2**20
_HEAD = 64
"""Bytes of an item that are kept: all of a grid."""
_GRID = b"grid"
_ALPHA = ("urn:mpeg:hevc:2015:auxid:1", "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")


@dataclass(frozen=True, slots=True)
class CodedImage:
    """An image as it is stored: one coded image, or a grid of them."""

    tiles: tuple[int, ...]
    """The items of the tiles by rows. The demuxer gives each item as the stream of this number."""
    columns: int
    width: int
    """Pixels, before it is turned. Tiles may exceed it to the right and at the bottom."""
    height: int
    """Pixels, before it is turned."""


@dataclass(frozen=True, slots=True)
class HeifImage:
    """The main image of a file."""

    coded: CodedImage
    alpha: CodedImage | None
    """Its alpha channel; None if the image is opaque."""
    orientation: Orientation
    primaries: int | None
    """By the numbers of ITU-T H.273; None if the file has none."""
    transfer: int | None
    """By the numbers of ITU-T H.273; None if the file has none."""
    icc_profile: bytes | None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed, in pixels."""
        coded = self.coded
        return (coded.height, coded.width) if self.orientation.swaps_sides else (coded.width, coded.height)


@dataclass(slots=True)
class _Items:
    primary: int = 0
    types: dict[int, bytes] = field(default_factory=dict)
    auxiliary: list[tuple[int, int]] = field(default_factory=list)
    """Auxiliary images, with the image that each belongs to."""
    tiles: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The tiles of each grid."""
    contents: dict[int, bytes] = field(default_factory=dict)
    """The first bytes of each item."""
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    of_items: dict[int, list[int]] = field(default_factory=dict)
    """Numbers of the properties of each item."""

    def all(self, item: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield the type and the contents of the properties of an item, in their order."""
        for number in self.of_items.get(item, []):
            if 0 < number <= len(self.properties):
                yield self.properties[number - 1]

    def get(self, item: int, kind: bytes) -> list[bytes]:
        """Return the properties of a kind that an item has."""
        return [body for own, body in self.all(item) if own == kind]


def read_heif(path: Path) -> HeifImage | None:
    """Return the main image of a file; None if it is no valid HEIC or AVIF image."""
    with path.open("rb") as file:
        data = file.read(_MAX_META_BYTES)
    try:
        meta = next((body for kind, body in _boxes(data) if kind == b"meta"), None)
        return None if meta is None else _main_image(_read_items(meta[4:], data))
    except (struct.error, IndexError, UnicodeDecodeError):
        return None


def _main_image(items: _Items) -> HeifImage | None:
    coded = _coded_image(items, items.primary)
    if coded is None:
        return None
    colors = items.get(items.primary, b"colr")
    nclx = next((body for body in colors if body[:4] == b"nclx"), None)
    primaries, transfer = struct.unpack_from(">HH", nclx, 4) if nclx else (None, None)
    return HeifImage(
        coded,
        alpha=next((alpha for item in _alpha_items(items) if (alpha := _coded_image(items, item))), None),
        orientation=_orientation(items),
        primaries=primaries,
        transfer=transfer,
        icc_profile=next((body[4:] for body in colors if body[:4] in (b"prof", b"rICC")), None),
    )


def _coded_image(items: _Items, item: int) -> CodedImage | None:
    if items.types.get(item) != _GRID:
        sizes = items.get(item, b"ispe")
        return CodedImage((item,), 1, *struct.unpack_from(">II", sizes[0], 4)) if sizes else None
    grid = items.contents.get(item, b"")
    rows, columns = grid[2] + 1, grid[3] + 1
    width, height = struct.unpack_from(">II" if grid[1] & 1 else ">HH", grid, 4)
    tiles = items.tiles.get(item, ())
    return CodedImage(tiles, columns, width, height) if len(tiles) == rows * columns else None


def _orientation(items: _Items) -> Orientation:
    """Return the orientation of the main image. Its properties apply in their order."""
    rotation, mirrored = 0, False
    for kind, body in items.all(items.primary):
        if kind == b"irot":
            rotation += 90 * (body[0] & 3)
        elif kind == b"imir":
            # Mirroring after a rotation is mirroring before the opposite rotation. Axis 0: top to bottom.
            rotation, mirrored = -rotation + (0 if body[0] & 1 else 180), not mirrored
    return Orientation(rotation % 360, mirrored)


def _alpha_items(items: _Items) -> Iterator[int]:
    for item, image in items.auxiliary:
        names = [body[4:].split(b"\0")[0].decode("ascii", "replace") for body in items.get(item, b"auxC")]
        if image == items.primary and any(name in _ALPHA for name in names):
            yield item


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type and the contents of each box."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1:
            size, header = struct.unpack_from(">Q", data, at + 8)[0], 16
        end = len(data) if size == 0 else at + size
        if end < at + header:
            return
        yield kind, data[at + header : end]
        at = end


def _read_items(meta: bytes, data: bytes) -> _Items:
    items, boxes = _Items(), dict(_boxes(meta))
    main = boxes.get(b"pitm", bytes(8))
    items.primary = int.from_bytes(main[4 : 6 if main[0] == 0 else 8], "big")
    if (entries := boxes.get(b"iinf")) is not None:
        for _, entry in _boxes(entries[6 if entries[0] == 0 else 8 :]):
            item, kind_at = _item_id(entry, 4, wide=entry[0] >= 3)
            items.types[item] = entry[kind_at + 2 : kind_at + 6]
    if (references := boxes.get(b"iref")) is not None:
        _read_references(items, references)
    if (locations := boxes.get(b"iloc")) is not None:
        items.contents = _read_contents(locations, data, boxes.get(b"idat", b""))
    for kind, body in _boxes(boxes.get(b"iprp", b"")):
        if kind == b"ipco":
            items.properties = list(_boxes(body))
        elif kind == b"ipma":
            _read_associations(items, body)
    return items


def _item_id(data: bytes, at: int, *, wide: bool) -> tuple[int, int]:
    """Return an item number, and the position after it."""
    end = at + (4 if wide else 2)
    return int.from_bytes(data[at:end], "big"), end


def _read_references(items: _Items, body: bytes) -> None:
    wide = body[0] != 0
    for kind, reference in _boxes(body[4:]):
        source, at = _item_id(reference, 0, wide=wide)
        (count,) = struct.unpack_from(">H", reference, at)
        at += 2
        targets = []
        for _ in range(count):
            target, at = _item_id(reference, at, wide=wide)
            targets.append(target)
        if kind == b"auxl":
            items.auxiliary += [(source, target) for target in targets]
        elif kind == b"dimg":
            items.tiles[source] = tuple(targets)


def _read_contents(body: bytes, data: bytes, inside: bytes) -> dict[int, bytes]:
    """Return the first bytes of each item. `inside` is the data that the box of the metadata itself contains."""
    version, sizes = body[0], body[4] << 8 | body[5]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    count, at = _number(body, 6, 2 if version < 2 else 4)
    contents = {}
    for _ in range(count):
        item, at = _number(body, at, 2 if version < 2 else 4)
        method, at = _number(body, at, 2 if version else 0)
        base, at = _number(body, at + 2, base_size)
        extents, at = _number(body, at, 2)
        for extent in range(extents):
            _, at = _number(body, at, index_size if version else 0)
            offset, at = _number(body, at, offset_size)
            length, at = _number(body, at, length_size)
            if extent == 0:
                source = inside if method & 15 == 1 else data
                contents[item] = source[base + offset : base + offset + min(length or _HEAD, _HEAD)]
    return contents


def _number(body: bytes, at: int, size: int) -> tuple[int, int]:
    """Return a number of `size` bytes, and the position after it. Raises IndexError after the end."""
    if at + size > len(body):
        raise IndexError
    return int.from_bytes(body[at : at + size], "big"), at + size


def _read_associations(items: _Items, body: bytes) -> None:
    wide, long = body[0] >= 1, bool(body[3] & 1)
    (count,) = struct.unpack_from(">I", body, 4)
    at = 8
    for _ in range(count):
        if at >= len(body):
            return
        item, at = _item_id(body, at, wide=wide)
        numbers = items.of_items.setdefault(item, [])
        for _ in range(body[at]):
            at += 1
            if long:
                numbers.append(struct.unpack_from(">H", body, at)[0] & 0x7FFF)
                at += 1
            else:
                numbers.append(body[at] & 0x7F)
        at += 1
