from pathlib import Path

import pytest

from callsheet.media.ffmpeg.runner import FFmpeg

from .studio import Studio


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def ffmpeg(studio: Studio) -> FFmpeg:
    return FFmpeg(studio.binary)


@pytest.fixture
def script(tmp_path: Path):
    """Return a function that writes a shell script and returns an FFmpeg runner that starts it."""

    def write(body: str) -> FFmpeg:
        path = tmp_path / "ffmpeg-like"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return FFmpeg(path, sandbox="off")  # the script starts other programs

    return write
