"""Write an animated WebP as FFV1 in Matroska. Run as a script, as `run_request` describes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from callsheet.media.normalization.animation_writer import write_animation
from callsheet.media.probing.still_facts import read_animated_webp
from callsheet.media.thumbnails.subprocess_protocol import run_request


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Convert `source` to `output`. Raises ValueError if not all frames can be decoded."""
    facts = read_animated_webp(Path(request["source"]))
    if facts is None:
        raise ValueError("it is no animated WebP")
    delays = facts.delays
    with Image.open(request["source"], formats=["WEBP"]) as animation:
        count = write_animation(
            Path(request["output"]),
            ((image, delays[min(n, len(delays) - 1)]) for n, image in enumerate(ImageSequence.Iterator(animation))),
            size=(facts.width, facts.height),
            rate=Fraction(len(delays) * 1000, sum(delays)).limit_denominator(1001),
            transparent=facts.transparent,
        )
    if count != len(delays):
        raise ValueError(f"it has {len(delays)} frames, but only {count} can be decoded")
    return {}


if __name__ == "__main__":
    run_request(main)
