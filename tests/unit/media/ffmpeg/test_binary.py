from pathlib import Path

import pytest

from callsheet.domain.errors import ConfigurationError
from callsheet.media.ffmpeg.binary import capabilities, find_ffmpeg
from callsheet.media.timeline.transition import TRANSITIONS
from callsheet.settings import Settings

from ..studio import Studio


def settings(path: Path | None) -> Settings:
    return Settings(_env_file=None, ffmpeg_path=path)


async def test_the_capabilities_of_the_binary_are_read(studio: Studio):
    found = await capabilities(studio.binary)

    assert "libx264" in found.encoders
    assert {"xfade", "subtitles", "ebur128", "perspective"} <= found.filters
    assert "fade" in found.transitions
    assert "custom" not in found.transitions
    assert found.transitions <= TRANSITIONS
    assert await capabilities(studio.binary) is found


def test_the_path_of_the_settings_takes_precedence(studio: Studio):
    assert find_ffmpeg(settings(studio.binary)) == studio.binary


def test_an_ffmpeg_on_the_path_precedes_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = tmp_path / "ffmpeg"
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_ffmpeg(settings(None)) == found


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="not an executable file"):
        find_ffmpeg(settings(tmp_path / "ffmpeg"))


async def test_another_program_is_rejected():
    with pytest.raises(ConfigurationError, match="does not work as FFmpeg"):
        await capabilities(Path("/bin/true"))
