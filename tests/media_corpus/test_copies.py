"""Copies that end early, or that go into a container which cannot hide a part of a stream."""

from pathlib import Path

import pytest

from .clips import Clips
from .edit_lists import with_edits
from .film_recipes import coded_as_fields, film
from .measure import film as measure
from .sisters import Check
from .table import Row
from .test_corpus import BINARY

pytestmark = pytest.mark.corpus


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    folder = tmp_path / "parts"
    folder.mkdir()
    return Clips(BINARY, folder)


async def test_a_video_of_fields_ends_with_the_shortest_track(clips: Clips, tmp_path: Path):
    source, sound = tmp_path / "fields.ts", tmp_path / "sound.mka"
    coded_as_fields("top")(clips, source)
    clips.film(sound, "mpeg4", "pcm_s16le", seconds=1.2, extra="-vn")
    check = Check(Row("fields.ts", film()), source, tmp_path, BINARY)

    result, files = await check.run("mux", video=str(source), audio=[str(sound)], duration="shortest")

    found = measure(BINARY, files[0], has_audio=True)
    assert result.duration == pytest.approx(1.2, abs=0.05)
    assert found.frames == pytest.approx(30, abs=1)
    assert (len(found.flashes), len(found.beeps)) == (1, 1)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
async def test_audio_that_an_edit_list_hides_is_not_audible_in_matroska(clips: Clips, tmp_path: Path, codec: str):
    video, trimmed = tmp_path / "video.mp4", tmp_path / "trimmed.mp4"
    film()(clips, video)
    with_edits(film(audio=codec), {"vide": [(0.0, 2.0)], "soun": [(0.3, 1.5)]})(clips, trimmed)
    check = Check(Row("trimmed.mp4", film()), trimmed, tmp_path, BINARY)

    _, files = await check.run("mux", video=str(video), audio=[str(trimmed)], format="mkv")

    found = measure(BINARY, files[0], has_audio=True)
    assert found.beeps == pytest.approx([0.2, 1.2], abs=0.05)
    assert found.flashes == pytest.approx([0.5, 1.5], abs=0.05)
