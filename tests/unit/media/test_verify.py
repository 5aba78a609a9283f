from fractions import Fraction
from pathlib import Path

import pytest

from callsheet.domain.errors import MediaFailed
from callsheet.media.runner import Report
from callsheet.media.verify import Expected, check_frames, check_whole, unfound_fonts, verified

from .studio import Studio


def expected(**change: object) -> Expected:
    facts: dict[str, object] = {"width": 160, "height": 284, "frames": 30, "rate": Fraction(30), "sound": True}
    return Expected(**{**facts, **change})  # type: ignore[arg-type]


@pytest.fixture
def film(studio: Studio) -> Path:
    return studio.clip("av.mp4", sound="sine=frequency=440:sample_rate=44100")


async def test_a_film_as_planned_is_accepted(film: Path):
    assert (await verified(film, expected())).frames == 30
    assert (await verified(film, expected(frames=31))).frames == 30


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": 45}, "30 frames instead of 45; 1.0.. s instead of 1.500 s"),
        ({"width": 162}, "160x284 instead of 162x284"),
        ({"sound": False}, "sound where none was planned"),
    ],
)
async def test_a_film_that_is_not_as_planned_is_refused(film: Path, change: dict[str, object], words: str):
    with pytest.raises(MediaFailed, match=words):
        await verified(film, expected(**change))


async def test_missing_sound_is_noticed(studio: Studio):
    with pytest.raises(MediaFailed, match="no sound"):
        await verified(studio.clip("silent.mp4"), expected())


def test_a_short_piece_is_noticed():
    with pytest.raises(MediaFailed, match=r"scenes\[1\]: FFmpeg wrote 10 of 60 frames"):
        check_frames(Report(0.3, 10, 1.0, 1.0, ""), 60, "scenes[1]")


def test_complaints_about_the_source_count_although_the_run_succeeded():
    check_whole("[x @ 0x1] a harmless remark", "scenes[0]")
    with pytest.raises(MediaFailed, match="damaged or incomplete"):
        check_whole("[mov @ 0x1] stream 0, offset 0x30: partial file", "scenes[0]")


def test_characters_without_a_font_are_noticed():
    assert unfound_fonts("[Parsed_subtitles_0 @ 0x1] fontselect: failed to find any fallback with glyph 0x1F3AC")
