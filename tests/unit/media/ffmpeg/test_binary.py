from pathlib import Path

import pytest

from callsheet.domain.errors import ConfigurationError
from callsheet.media.ffmpeg.binary import capabilities, find_ffmpeg
from callsheet.media.timeline.transition import TRANSITIONS
from callsheet.settings import Settings

from ..studio import Studio


def settings(path: Path | None) -> Settings:
    return Settings(_env_file=None, ffmpeg_path=path)


async def test_the_binary_tells_what_it_can_do(studio: Studio):
    able = await capabilities(studio.binary)

    assert "libx264" in able.encoders
    assert {"xfade", "subtitles", "ebur128", "perspective"} <= able.filters
    assert "fade" in able.transitions
    assert "custom" not in able.transitions
    assert able.transitions <= TRANSITIONS
    assert await capabilities(studio.binary) is able


def test_the_settings_come_first(studio: Studio):
    assert find_ffmpeg(settings(studio.binary)) == studio.binary


def test_one_on_the_path_comes_before_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = tmp_path / "ffmpeg"
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_ffmpeg(settings(None)) == found


def test_a_setting_that_leads_nowhere_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="not a program that can be run"):
        find_ffmpeg(settings(tmp_path / "ffmpeg"))


async def test_another_program_is_not_taken_for_ffmpeg():
    with pytest.raises(ConfigurationError, match="does not work as FFmpeg"):
        await capabilities(Path("/bin/true"))
