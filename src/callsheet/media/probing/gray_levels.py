"""Gray images of 16 bits, whose levels Pillow clips instead of reducing them."""

from PIL import Image


def with_eight_bits(image: Image.Image) -> Image.Image:
    """Return a gray image of 16 bits with 8 bits; any other image unchanged."""
    if not image.mode.startswith("I;16"):
        return image
    return image.convert("I").point(lambda level: level * (255 / 65535) + 0.5).convert("L")
