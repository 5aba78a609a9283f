"""Fetched files against what was expected: complete media of the right kind, and other files as they are."""

import subprocess

import imageio_ffmpeg
import pytest

from callsheet.domain.errors import BadOutput
from callsheet.operations.output_kinds import ExpectedOutput, check_output

VIDEO = ["-f", "lavfi", "-i", "testsrc2=d=2:s=64x64:r=10"]
AUDIO = ["-f", "lavfi", "-i", "sine=d=2"]
STILL = [*VIDEO, "-frames:v", "1"]
MEDIA = {
    "index-at-end.mp4": ([*VIDEO, *AUDIO], {"video", "audio"}),
    "fast.mp4": ([*VIDEO, "-movflags", "+faststart"], {"video"}),
    "fragmented.mp4": ([*VIDEO, "-g", "5", "-movflags", "+frag_keyframe+empty_moov"], {"video"}),
    "film.mov": ([*VIDEO], {"video"}),
    "film.webm": ([*VIDEO, *AUDIO, "-c:v", "libvpx", "-deadline", "realtime"], {"video", "audio"}),
    "slides.webm": (["-f", "lavfi", "-i", "testsrc2=d=6:s=64x64:r=1", "-c:v", "libvpx"], {"video"}),
    "film.mkv": ([*VIDEO], {"video"}),
    "film.avi": ([*VIDEO], {"video"}),
    "still.png": (STILL, {"image"}),
    "still.jpg": (STILL, {"image"}),
    "still.webp": (STILL, {"image"}),
    "animated.webp": ([*VIDEO, "-c:v", "libwebp_anim"], {"image", "video"}),
    "animated.gif": (VIDEO, {"image", "video"}),
    "animated.png": ([*VIDEO, "-f", "apng"], {"image", "video"}),
    "sound.wav": (AUDIO, {"audio"}),
    "sound.flac": (AUDIO, {"audio"}),
    "sound.mp3": (AUDIO, {"audio"}),
    "sound.ogg": (AUDIO, {"audio"}),
    "sound.m4a": (AUDIO, {"audio"}),
}
HTML = b"<!DOCTYPE html><title>Sign in</title>"
JSON = b'{"detail": "expired"}'
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
MP3_LIKE = b"\xff\xfb" + bytes(range(256))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(params=MEDIA)
def media(request, folder):
    """A valid file."""
    path = folder / request.param
    if not path.exists():
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *MEDIA[request.param][0], str(path)]
        subprocess.run(command, check=True)
    return path


async def test_complete_media_are_accepted_by_their_contents(media):
    assert await check_output(media, ExpectedOutput("the provider", media.name)) == MEDIA[media.name][1]


@pytest.mark.parametrize("part", [0.5, 0.8])
async def test_a_file_that_ends_early_is_not_accepted(media, part, tmp_path):
    cut = tmp_path / "cut"
    data = media.read_bytes()
    cut.write_bytes(data[: int(len(data) * part)])

    with pytest.raises(BadOutput, match="cut off"):
        await check_output(cut, ExpectedOutput("the provider", media.name))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latent.latent", bytes(500)),
        ("model.glb", b"glTF" + bytes(100)),
        ("mesh.obj", b"v 0 0 0\n"),
        ("mesh.ply", b"ply\nformat ascii 1.0\n"),
        ("scene.gltf", b'{"asset": {}}'),
        ("all.zip", b"PK\x03\x04" + bytes(100)),
        ("words.txt", b"a fox"),
        ("words.srt", b"1\n00:00:00,000 --> 00:00:01,000\na fox\n"),
        ("data.json", JSON),
        ("page.html", HTML),
        ("frame.exr", b"v/1\x01" + bytes(100)),
        ("weights.bin", MP3_LIKE),
        ("without-extension", MP3_LIKE),
    ],
)
async def test_files_of_other_kinds_are_accepted_as_they_are(tmp_path, name, content):
    path = tmp_path / "fetched"
    path.write_bytes(content)

    assert not await check_output(path, ExpectedOutput("the server", name)) - {"image"}


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("film.mp4", HTML, "an HTML page"),
        ("film.mp4", SVG, "an SVG image"),
        ("film.mp4", bytes(500), "a damaged file"),
        ("film.mp4", b"PK\x03\x04" + bytes(100), "a damaged file"),
        ("still.png", JSON, "a JSON document"),
        ("latent.latent", HTML, "an HTML page"),
        ("model.glb", JSON, "a JSON document"),
        ("words.txt", HTML, "an HTML page"),
        ("mesh.obj", b"<Error><Code>NoSuchKey</Code></Error>", "an XML error"),
        ("without-extension", HTML, "an HTML page"),
        ("sound.mp3", b"ID3 and no sound", "a damaged file"),
        ("empty.latent", b"", "an empty file"),
    ],
)
async def test_what_came_in_place_of_a_file_is_named(tmp_path, name, content, found):
    path = tmp_path / "fetched"
    path.write_bytes(content)

    with pytest.raises(BadOutput, match=f"^the server returned {found}") as raised:
        await check_output(path, ExpectedOutput("the server", name))
    assert raised.value.facts["found"].startswith(found)


async def test_the_kind_that_a_model_makes_decides_if_a_name_says_nothing(tmp_path):
    path = tmp_path / "fetched"
    path.write_bytes(SVG)
    assert await check_output(path, ExpectedOutput("the provider", "output", makes="image")) == {"image"}

    path.write_bytes(JSON)
    with pytest.raises(BadOutput, match=r"a JSON document .* instead of a video \(output\)"):
        await check_output(path, ExpectedOutput("the provider", "output", makes="video"))


async def test_the_type_that_the_provider_declares_has_priority_over_the_name(tmp_path):
    path = tmp_path / "fetched"
    path.write_bytes(JSON)

    await check_output(path, ExpectedOutput("the provider", "film.mp4", "application/json; charset=utf-8"))
    with pytest.raises(BadOutput):
        await check_output(path, ExpectedOutput("the provider", "film.mp4", "application/octet-stream"))
