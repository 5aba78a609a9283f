"""Defense in depth: FFmpeg itself rejects hostile files, in case the probe accepts them."""

from pathlib import Path

import pytest

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.processes.child import ProcessLimits

from .hostile import make_corpus
from .studio import Studio

LIMITS = ProcessLimits(memory_bytes=500 * 2**20)


@pytest.fixture(scope="module")
def corpus(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_corpus(studio, tmp_path_factory.mktemp("hostile"), "http://127.0.0.1:9")


async def is_rejected(ffmpeg: FFmpeg, path: Path) -> bool:
    try:
        await ffmpeg.run([*media_input(path), "-t", "1", "-f", "null", "-"], timeout=20, limits=LIMITS)
    except FFmpegFailed:
        return True
    return False


async def test_no_playlist_is_opened(ffmpeg: FFmpeg, corpus: dict[str, Path]):
    prefixes = ("HLS", "DASH", "XML", "ffconcat", "SDP", "SVG", "M3U", "an Avisynth")
    playlists = {kind: path for kind, path in corpus.items() if kind.startswith(prefixes)}

    assert len(playlists) == 18
    assert [kind for kind, path in playlists.items() if not await is_rejected(ffmpeg, path)] == []


async def test_no_image_beyond_the_size_limit_is_decoded(ffmpeg: FFmpeg, corpus: dict[str, Path]):
    assert await is_rejected(ffmpeg, corpus["an image of 12000 by 12000"])
    assert await is_rejected(ffmpeg, corpus["a GIF of 65535 by 65535"])


async def test_frames_hours_apart_are_stopped_at_the_planned_duration(
    ffmpeg: FFmpeg, corpus: dict[str, Path], tmp_path: Path
):
    args = [*media_input(corpus["two frames ten hours apart"]), "-vf", "fps=1", "-f", "null", "-"]

    with pytest.raises(FFmpegFailed, match="states a wrong duration"):
        await ffmpeg.run(args, duration=1, timeout=30, limits=LIMITS)


async def test_a_damaged_file_never_breaks_the_runner(ffmpeg: FFmpeg, corpus: dict[str, Path]):
    for kind in ("index missing", "only the head", "noise", "a huge sample count", "150 streams"):
        await is_rejected(ffmpeg, corpus[kind])

    with pytest.raises(FFmpegFailed, match="its index is missing"):
        await ffmpeg.run([*media_input(corpus["index missing"]), "-f", "null", "-"])
