"""Write an animated AVIF or HEIC as FFV1 in Matroska, in SDR. Run as a script, as `run_request` describes."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from PIL import Image

from callsheet.media.ffmpeg.orientation import Orientation, frame_orientation
from callsheet.media.normalization.animation_writer import write_animation
from callsheet.media.normalization.still_image import colors_of_heif, gray_image
from callsheet.media.probing.heif import HeifImage, read_heif
from callsheet.media.probing.image_sequence import sequence_tracks
from callsheet.media.probing.mp4_boxes import is_track_mirrored
from callsheet.media.thumbnails.display_image import frame_image, turned
from callsheet.media.thumbnails.subprocess_protocol import run_request
from callsheet.media.thumbnails.tone_mapping import to_sdr


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Convert `source` to `output`. Raises ValueError if not all frames can be decoded."""
    source = Path(request["source"])
    with _open(source) as colors, _open(source) as alphas:
        tracks, own_tracks = sequence_tracks(colors), sequence_tracks(alphas)
        if tracks is None or own_tracks is None:
            raise ValueError("it is no animated AVIF or HEIC")
        color, alpha = tracks.color, own_tracks.alpha
        frames = (frame for frame in colors.decode(color) if isinstance(frame, VideoFrame))
        masks = (frame for frame in alphas.decode(alpha) if isinstance(frame, VideoFrame)) if alpha else None
        first = next(frames, None)
        if first is None:
            raise ValueError("none of its frames can be decoded")
        orientation = frame_orientation(first, mirrored=is_track_mirrored(source, color.id))
        images = _images(first, frames, masks, read_heif(source), orientation, request["cut_off"])
        size = (first.height, first.width) if orientation.swaps_sides else (first.width, first.height)
        rate = Fraction(color.average_rate or 1).limit_denominator(1001)
        count = write_animation(Path(request["output"]), images, size=size, rate=rate, transparent=alpha is not None)
        if count < color.frames and not request["cut_off"]:
            raise ValueError(f"it has {color.frames} frames, but only {count} can be decoded")
    return {}


def _open(source: Path) -> InputContainer:
    return av.open(f"file:{source}", format="mov", options={"protocol_whitelist": "file"})


def _images(
    first: VideoFrame,
    others: Iterator[VideoFrame],
    masks: Iterator[VideoFrame] | None,
    heif: HeifImage | None,
    orientation: Orientation,
    cut_off: bool,
) -> Iterator[tuple[Image.Image, int]]:
    """Yield the upright frames, each with its duration in milliseconds. Raises ValueError if a mask is missing."""
    time = 0
    end = Fraction(0)
    for number, frame in enumerate((first, *others)):
        image = _in_srgb(frame, heif)
        if masks is not None:
            mask = next(masks, None)
            if mask is None and cut_off:
                return
            if mask is None:
                raise ValueError(f"the alpha channel of its frame {number + 1} cannot be decoded")
            image.putalpha(gray_image(mask).resize(image.size))
        end += Fraction(frame.duration or 0) * Fraction(frame.time_base or 0)
        # The sum is rounded, not each duration, so that rounding errors do not add up.
        duration = max(1, round(end * 1000) - time)
        time += duration
        yield turned(image, orientation), duration


def _in_srgb(frame: VideoFrame, heif: HeifImage | None) -> Image.Image:
    image = frame_image(frame, keep_colors=True)
    if heif is not None:
        return colors_of_heif(image, heif)
    return to_sdr(image, int(frame.color_trc), int(frame.color_primaries))


if __name__ == "__main__":
    run_request(main)
