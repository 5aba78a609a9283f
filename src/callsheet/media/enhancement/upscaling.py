"""Upscale parts of a video, or a still image."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image as PillowImage
from PIL import ImageOps

from callsheet.media.enhancement.face_restoration import FaceRestorer
from callsheet.media.enhancement.frame_reader import FrameReader
from callsheet.media.enhancement.inference import Image, load_model, scale_of
from callsheet.media.enhancement.parallel import ordered_map
from callsheet.media.enhancement.part_writer import OutputFrame, PartFormat, write_parts
from callsheet.media.enhancement.pixels import to_frame, to_image
from callsheet.media.enhancement.requests import ImageRequest, Part, UpscaleRequest
from callsheet.media.enhancement.tiles import upscale_image
from callsheet.media.probing.gray_levels import with_eight_bits


def upscale_parts(request: UpscaleRequest) -> Iterator[dict[str, Any]]:
    """Upscale parts, and yield the messages of `write_parts`, and first `{"device": …, "scale": …}`.

    Raises ValueError if the model cannot upscale, or `scale` is not within its factor.
    """
    model = load_model(request.model, request.compute)
    scale = scale_of(model)
    _check_scale(request.scale, scale)
    restorer = FaceRestorer(request.faces, request.compute) if request.faces is not None else None
    yield {"device": model.device, "scale": scale}
    reader = FrameReader(request.source, request.compute.threads)
    source, color = request.source, request.source.color

    def upscale(item: tuple[Part, VideoFrame | None]) -> OutputFrame:
        part, frame = item
        if frame is None:
            return OutputFrame(part)
        assert frame.pts is not None  # noqa: S101 - the reader checks it
        image = to_image(frame, source)
        upscaled = upscale_image(model, image, scale, request.compute.tile)
        if restorer is not None:
            upscaled = restorer.restore(image, upscaled, scale)
        size = _target_size(image, request.scale) if request.scale not in (None, scale) else None
        return OutputFrame(part, frame.pts - part.start, to_frame(upscaled, color, depth=source.depth, size=size))

    form = PartFormat(
        Path(request.folder), request.encode, color, Fraction(*request.time_base), Fraction(*source.pixel_aspect)
    )
    yield from write_parts(ordered_map(upscale, _frames(reader, request.parts), model.concurrency), form)
    reader.close()


def _frames(reader: FrameReader, parts: list[Part]) -> Iterator[tuple[Part, VideoFrame | None]]:
    for part in parts:
        for frame in reader.frames(part.start, part.end):
            yield part, frame
        yield part, None


def _check_scale(wanted: float | None, scale: int) -> None:
    if wanted is not None and not 1 <= wanted <= scale:
        raise ValueError(f"the scale {wanted:g} is not from 1 to {scale}, the factor of the model")


def _target_size(image: Image, scale: float | None) -> tuple[int, int]:
    """Return the even width and height of an image that is `scale` times as large."""
    _, height, width = image.shape
    return max(2, round(width * (scale or 1) / 2) * 2), max(2, round(height * (scale or 1) / 2) * 2)


def upscale_still(request: ImageRequest) -> Iterator[dict[str, Any]]:
    """Upscale a still image to a PNG file, in its orientation. Transparency is enlarged by Lanczos interpolation.

    Raises ValueError if it cannot be read, or is too large.
    """
    with PillowImage.open(request.source.path) as opened:
        if opened.width * opened.height > request.max_pixels:
            raise ValueError("it is too large to be decoded safely")
        picture = with_eight_bits(ImageOps.exif_transpose(opened)).convert("RGBA")
        profile = opened.info.get("icc_profile")
    model = load_model(request.model, request.compute)
    scale = scale_of(model)
    _check_scale(request.scale, scale)
    yield {"device": model.device, "scale": scale}
    pixels = np.asarray(picture, np.float32)[..., :3].transpose(2, 0, 1) / np.float32(255)
    image = np.ascontiguousarray(pixels)
    upscaled = upscale_image(model, image, scale, request.compute.tile)
    if request.faces is not None:
        upscaled = FaceRestorer(request.faces, request.compute).restore(image, upscaled, scale)
    rgb = PillowImage.fromarray((np.clip(upscaled, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
    wanted = request.scale or scale
    size = round(picture.width * wanted), round(picture.height * wanted)
    rgb = rgb if rgb.size == size else rgb.resize(size, PillowImage.Resampling.LANCZOS)
    alpha = picture.getchannel("A")
    if alpha.getextrema() != (255, 255):
        rgb.putalpha(alpha.resize(size, PillowImage.Resampling.LANCZOS))
    rgb.save(request.output, icc_profile=profile)
    yield {"done": 1}
