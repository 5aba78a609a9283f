from pathlib import Path

from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.subtitles.font_families import missing_families


async def test_missing_families_are_found(ffmpeg: FFmpeg, tmp_path: Path):
    asked = ["Inter", "inter", "Callsheet Hebrew", "No Such Family", "Also: 'Not' (here)"]

    assert await missing_families(ffmpeg, asked, tmp_path) == ["Also: 'Not' (here)", "No Such Family"]


async def test_the_default_family_is_not_checked(tmp_path: Path):
    unusable = FFmpeg(Path("/nonexistent"))

    assert await missing_families(unusable, ["Inter"], tmp_path) == []
