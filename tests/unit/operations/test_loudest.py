"""The `loudest` operation on a small recording with a loud part."""

from pathlib import Path

import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.media.clips.loudest import loudest_part
from callsheet.operations.loudest import LoudestResult, loudest

TALK = "aevalsrc='if(between(t,6,9),0.5,0.05)*sin(2*PI*440*t)*lt(mod(t,1.5),1)':s=8000"
"""Sentences of 1 s with pauses of 0.5 s; those from 6 to 9 s are louder by 20 dB."""


async def find(stage: FakeContext, path: Path, **params: object) -> LoudestResult:
    result = await loudest.run(stage, validate_params({"src": str(path), **params}, loudest.params))
    assert isinstance(result, LoudestResult)
    return result


@pytest.fixture
def talk(studio: Studio) -> Path:
    return studio.sound("talk.wav", TALK, seconds=12)


async def test_the_loud_part_is_found_with_its_loudness(stage: FakeContext, talk: Path):
    found = await find(stage, talk, duration=3, snap=0)

    assert found.start == pytest.approx(6, abs=0.4)
    assert found.duration == pytest.approx(3)
    assert found.end == pytest.approx(found.start + 3)
    assert found.loudness is not None and found.average is not None
    assert found.loudness > found.average + 4


async def test_start_and_end_move_into_the_pauses(stage: FakeContext, talk: Path):
    found = await find(stage, talk, duration=2.8, snap=0.6)

    assert 5.5 <= found.start <= 6
    assert 8.5 <= found.end <= 9


async def test_a_shorter_recording_is_one_part(stage: FakeContext, talk: Path):
    found = await find(stage, talk, duration=60)

    assert (found.start, found.end) == (0, 12)
    assert found.loudness == found.average


async def test_silence_has_no_loudness(stage: FakeContext, studio: Studio):
    found = await find(stage, studio.sound("silence.wav", "anullsrc=r=8000:cl=mono", seconds=2), duration=1)

    assert (found.start, found.duration) == (0, 1)
    assert (found.loudness, found.average) == (None, None)


async def test_a_missing_track_and_no_duration_are_refused_together(stage: FakeContext, talk: Path):
    with pytest.raises(BadParams) as caught:
        await find(stage, talk, duration=0, track=2)

    assert [(problem.path, problem.code) for problem in caught.value.problems] == [
        ("duration", "too_small"),
        ("track", "no_such_track"),
    ]


def test_a_loud_conversation_is_preferred_to_a_single_bang():
    moments = [-30.0] * 3000
    moments[100:105] = [-8.0] * 5
    moments[2000:2600] = [-14.0] * 600

    part = loudest_part(moments, 300, 60)

    assert (part.start, part.end) == (200, 260)


def test_of_equal_parts_the_first_is_taken():
    assert loudest_part([-20.0] * 100, 10, 2).start == 0
