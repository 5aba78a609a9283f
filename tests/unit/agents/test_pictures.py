"""What an agent is shown of images: small JPEGs, of files that are images, within limits."""

import io
import os
import zlib
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import pytest
from PIL import Image

from callsheet.agents.pictures import small_jpeg
from callsheet.domain.errors import BadInput, TooLarge
from callsheet.domain.records import StoredArtifact

ID = UUID("019ab1f0-0000-7000-8000-000000000001")


class Files:
    """The download of a client, from memory."""

    def __init__(self, content):
        self.content = content
        self.downloads = 0

    async def download_artifact(self, artifact, target):
        self.downloads += 1
        target.write_bytes(self.content)
        return True


def artifact_of(content, media_type="image/png", size=None):
    return StoredArtifact(
        artifact_id=ID,
        name="picture.png",
        key="draw/1/picture.png",
        media_type=media_type,
        size=len(content) if size is None else size,
        sha256=sha256(content).hexdigest(),
        execution_id=ID,
        job_id="a",
        job_record_id=ID,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


async def shown(content, media_type="image/png", max_side=100):
    jpeg = await small_jpeg(Files(content), artifact_of(content, media_type), max_side)
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return image


async def test_an_image_is_scaled_down_and_never_up():
    assert (await shown(encoded(Image.new("RGB", (400, 200))))).size == (100, 50)
    assert (await shown(encoded(Image.new("L", (30, 20))))).size == (30, 20)


async def test_transparent_parts_are_white():
    assert (await shown(encoded(Image.new("RGBA", (50, 50), (0, 0, 0, 0))))).getpixel((20, 20)) == (255, 255, 255)


async def test_a_photo_is_upright():
    turned = Image.Exif()
    turned[0x0112] = 6
    photo = encoded(Image.new("RGB", (80, 40)), "JPEG", exif=turned.tobytes())
    assert (await shown(photo, "image/jpeg")).size == (40, 80)


async def test_of_an_animation_the_start_is_shown():
    frames = [Image.new("RGB", (40, 40), color) for color in ("red", "blue")]
    animation = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert (await shown(animation, "image/webp")).getpixel((20, 20))[0] > 240


async def test_even_noise_fits_into_a_message():
    noise = Image.frombytes("RGB", (2048, 2048), os.urandom(3 * 2048 * 2048))
    content = encoded(noise, compress_level=0)
    jpeg = await small_jpeg(Files(content), artifact_of(content), 2048)
    assert len(jpeg) <= 700_000


@pytest.mark.parametrize("media_type", ["video/mp4", "application/pdf", "image/svg+xml", "text/plain"])
async def test_other_files_are_not_downloaded(media_type):
    files = Files(b"x")
    with pytest.raises(BadInput, match="allowed are image/jpeg"):
        await small_jpeg(files, artifact_of(b"x", media_type), 100)
    assert files.downloads == 0


async def test_a_large_file_is_not_downloaded():
    files = Files(b"x")
    with pytest.raises(TooLarge, match="33,554,433 bytes"):
        await small_jpeg(files, artifact_of(b"x", size=2**25 + 1), 100)
    assert files.downloads == 0


async def test_an_image_of_too_many_pixels_is_not_decoded():
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = (20_000).to_bytes(4) + (20_000).to_bytes(4) + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises((TooLarge, BadInput), match="pixels"):
        await small_jpeg(Files(bomb), artifact_of(bomb), 100)


@pytest.mark.parametrize("content", [b"", b"not an image", encoded(Image.new("RGB", (400, 400)))[:90]])
async def test_a_damaged_image_is_an_error(content):
    with pytest.raises(BadInput, match="cannot be decoded as PNG"):
        await small_jpeg(Files(content), artifact_of(content), 100)


async def test_only_the_announced_format_is_decoded():
    with pytest.raises(BadInput, match="cannot be decoded as PNG"):
        await shown(encoded(Image.new("RGB", (40, 40)), "TIFF"), "image/png")


async def test_a_gray_image_of_16_bits_keeps_its_levels():
    dark = Image.new("I;16", (20, 20), 0x4040)

    image = await shown(encoded(dark))

    assert image.convert("RGB").getpixel((10, 10)) == pytest.approx((64, 64, 64), abs=2)
