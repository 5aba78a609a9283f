"""Write a still image as upright PNG in sRGB. Run as a script, as `run_request` describes."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame
from PIL import Image, ImageCms, ImageFile, ImageOps

from callsheet.media.probing.heif import CodedImage, HeifImage, read_heif
from callsheet.media.probing.still_facts import STILL_FORMATS, foreign_profile, is_foreign
from callsheet.media.thumbnails.display_image import frame_image, turned
from callsheet.media.thumbnails.subprocess_protocol import run_request
from callsheet.media.thumbnails.tone_mapping import to_sdr

_PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA", "I;16"})


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Convert `source` to `output`. Raises ValueError if it is damaged."""
    Image.MAX_IMAGE_PIXELS = request["max_pixels"]
    ImageFile.LOAD_TRUNCATED_IMAGES = request["cut_off"]
    image = _READERS[request["kind"]](Path(request["source"]))
    image.save(request["output"], "PNG", compress_level=1, exif=b"", icc_profile=None)
    return {}


def _read_image(source: Path) -> Image.Image:
    """Read a JPEG, PNG, WebP or TIFF."""
    # By a path, Pillow would map the pixels of an uncompressed TIFF with the sides that it has after it is turned.
    with source.open("rb") as file, Image.open(file, formats=STILL_FORMATS) as opened:
        profile = foreign_profile(opened)
        image: Image.Image = ImageOps.exif_transpose(opened)
    if profile is not None:
        return _to_srgb(image, profile)
    return image if image.mode in _PLAIN_MODES else _plain(image)


def _read_heif(source: Path) -> Image.Image:
    """Read a HEIC or AVIF: join its tiles, add its alpha channel, turn it upright."""
    heif = read_heif(source)
    if heif is None:
        raise ValueError("its main image is missing")
    image = _assemble(source, heif.coded, "RGB", lambda frame: frame_image(frame, keep_colors=True))
    image = colors_of_heif(image, heif)
    if heif.alpha is not None:
        alpha = _assemble(source, heif.alpha, "L", gray_image)
        image.putalpha(alpha if alpha.size == image.size else alpha.resize(image.size))
    return turned(image, heif.orientation)


def _assemble(source: Path, coded: CodedImage, mode: str, convert: Callable[[VideoFrame], Image.Image]) -> Image.Image:
    canvas = Image.new(mode, (coded.width, coded.height))
    missing = set(coded.tiles)
    with av.open(f"file:{source}", format="mov", options={"protocol_whitelist": "file"}) as container:
        streams = [stream for stream in container.streams.video if stream.id in missing]
        for packet in container.demux(streams):
            for frame in _decode(packet):
                number = coded.tiles.index(packet.stream.id)
                tile = convert(frame)
                canvas.paste(tile, (number % coded.columns * tile.width, number // coded.columns * tile.height))
                missing.discard(packet.stream.id)
    if missing:
        raise ValueError(f"{len(missing)} of its {len(coded.tiles)} parts cannot be decoded")
    return canvas


def _decode(packet: Any) -> list[VideoFrame]:
    stream = packet.stream
    return [
        frame for frame in stream.codec_context.decode(packet if packet.size else None) if isinstance(frame, VideoFrame)
    ]


def gray_image(frame: VideoFrame) -> Image.Image:
    """Return the first component of a frame in full range, as alpha channels are stored."""
    plane = frame.reformat(format="gray", dst_color_range=2).planes[0]
    return Image.frombytes("L", (frame.width, frame.height), bytes(plane), "raw", "L", plane.line_size)


def colors_of_heif(image: Image.Image, heif: HeifImage) -> Image.Image:
    """Return an image with the colors of a HEIC or AVIF in sRGB."""
    if heif.icc_profile and is_foreign(heif.icc_profile):
        return _to_srgb(image, heif.icc_profile)
    return to_sdr(image, heif.transfer or 0, heif.primaries or 0)


def _read_exr(source: Path) -> Image.Image:
    """Read an EXR, which stores linear light."""
    with av.open(f"file:{source}", format="exr_pipe", options={"protocol_whitelist": "file"}) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"apply_trc": "iec61966_2_1"}
        frame = next(frame for frame in container.decode(stream) if isinstance(frame, VideoFrame))
    plane = frame.reformat(format="rgba").planes[0]
    return Image.frombytes("RGBA", (frame.width, frame.height), bytes(plane), "raw", "RGBA", plane.line_size)


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # in the other byte order; a conversion to RGB would clip its values
        return image.convert("I").convert("I;16")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert the colors. The alpha channel has none."""
    image = _plain(image) if image.mode in ("P", "PA") else image
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    colors = image.convert("RGB") if image.mode == "RGBA" else image
    try:
        converted = ImageCms.profileToProfile(
            colors, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:  # the profile does not fit the pixels: viewers ignore it
        converted = None
    result: Image.Image = colors.convert("RGB") if converted is None else converted
    if alpha is not None:
        result.putalpha(alpha)
    return result


_READERS: dict[str, Callable[[Path], Image.Image]] = {"image": _read_image, "heif": _read_heif, "exr": _read_exr}


if __name__ == "__main__":
    run_request(main)
