from pathlib import Path

from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.subtitles.font_families import missing_families


async def test_families_that_no_font_has_are_found(ffmpeg: FFmpeg, tmp_path: Path):
    asked = ["Inter", "inter", "Callsheet Hebrew", "No Such Family", "Also: 'Not' (here)"]

    assert await missing_families(ffmpeg, asked, tmp_path) == ["Also: 'Not' (here)", "No Such Family"]


async def test_the_usual_family_costs_no_look(tmp_path: Path):
    nobody = FFmpeg(Path("/nonexistent"))

    assert await missing_families(nobody, ["Inter"], tmp_path) == []
