"""Images that an agent can look at: downloaded up to a limit, checked, and scaled down to a small JPEG."""

import asyncio
import io
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from callsheet.client.client import Client
from callsheet.domain.errors import BadInput, TooLarge
from callsheet.domain.records import StoredArtifact
from callsheet.media.probing.gray_levels import with_eight_bits

MAX_SIDE = 2048
_MAX_FILE_BYTES = 32 * 2**20
_MAX_PIXELS = 64_000_000
"""Of the stored image: decoded, it takes 4 bytes for each."""
_MAX_JPEG_BYTES = 700_000
"""Base64 makes it 930 kB, and messages of agents are often limited to 1 MB."""
_QUALITIES = (85, 70, 50, 30)
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}


async def small_jpeg(client: Client, artifact: StoredArtifact, max_side: int) -> bytes:
    """Return the image of an artifact as a JPEG, at most `max_side` pixels wide and high; of an animation, the start.

    Raises BadInput for a file that is not an image or is damaged, and TooLarge.
    """
    if artifact.media_type not in _FORMATS:
        raise BadInput(
            f"artifact_id: '{artifact.name}' is {artifact.media_type}; allowed are {', '.join(_FORMATS)}. "
            "For pictures of a video, submit a plan with the operation 'preview'."
        )
    if artifact.size > _MAX_FILE_BYTES:
        raise TooLarge(f"The image has {artifact.size:,} bytes; at most {_MAX_FILE_BYTES:,} are shown. Use its link.")
    with tempfile.TemporaryDirectory(prefix="callsheet-image-") as folder:
        file = Path(folder) / "image"
        await client.download_artifact(artifact, file)
        return await asyncio.to_thread(_encode, file, _FORMATS[artifact.media_type], max_side)


def _encode(file: Path, expected: str, max_side: int) -> bytes:
    try:
        # Only the decoder of the announced format: others need not be safe.
        with Image.open(file, formats=[expected]) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise TooLarge(f"The image has {image.width}×{image.height} pixels; at most {_MAX_PIXELS:,} are shown.")
            image.draft("RGB", (max_side, max_side))
            upright = _opaque(with_eight_bits(ImageOps.exif_transpose(image)))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"The image cannot be decoded as {expected}: {error}") from None
    upright.thumbnail((max_side, max_side))
    return _within_limit(upright)


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image in RGB; what is transparent becomes white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _within_limit(image: Image.Image) -> bytes:
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=quality)
            if len(jpeg := buffer.getvalue()) <= _MAX_JPEG_BYTES:
                return jpeg
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)))
