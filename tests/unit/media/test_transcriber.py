"""How long sound is taken apart for the model, and how its times lead back."""

import wave
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import callsheet.media.speech as speech

RATE = 16_000


@pytest.fixture(scope="module")
def transcriber():
    """The script, which nothing imports: it is run by its path."""
    spec = spec_from_file_location("transcriber", Path(speech.__file__).with_name("transcriber.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sound(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def taken_apart(transcriber, path: Path) -> list[tuple[float, np.ndarray]]:
    with wave.open(str(path)) as file:
        return list(transcriber.pieces(file))


def test_long_sound_comes_in_pieces_that_end_in_quiet_and_lose_nothing(transcriber, tmp_path):
    whole = np.random.default_rng(0).integers(-9_000, 9_000, 400 * RATE)
    whole[270 * RATE : 271 * RATE] //= 100

    pieces = taken_apart(transcriber, sound(tmp_path / "long.wav", whole))

    assert [start for start, _ in pieces] == [0, len(pieces[0][1]) / RATE]
    assert 270 < pieces[1][0] < 271
    assert np.array_equal(np.concatenate([samples for _, samples in pieces]) * 32768, whole)


@pytest.mark.parametrize(("seconds", "count"), [(0, 0), (1, 1), (300, 2)])
def test_short_sound_is_one_piece_and_none_is_none(transcriber, tmp_path, seconds, count):
    pieces = taken_apart(transcriber, sound(tmp_path / "short.wav", np.zeros(seconds * RATE)))

    assert len(pieces) == count
    assert sum(len(samples) for _, samples in pieces) == seconds * RATE


def test_long_pauses_are_left_out_and_times_lead_back(transcriber):
    samples = np.arange(20 * RATE, dtype=np.float32)
    heard = transcriber.Heard(samples, [(1 * RATE, 2 * RATE), (10 * RATE, 11 * RATE), (int(11.4 * RATE), 12 * RATE)])

    # Heard from 0.7 to 2.3 and from 9.7 to 12.3; the pause of 0.4 s is kept.
    assert len(heard.samples) == pytest.approx((1.6 + 2.6) * RATE, abs=2)
    assert heard.back(0.5, 0.8, " inside") == pytest.approx((1.2, 1.5))
    assert heard.back(2.0, 2.3, " inside") == pytest.approx((10.1, 10.4))
    assert heard.back(3.4, 3.8, " later") == pytest.approx((11.5, 11.9))


def test_a_word_that_the_model_lets_begin_in_a_pause_begins_with_the_speech(transcriber):
    heard = transcriber.Heard(np.zeros(20 * RATE, np.float32), [(1 * RATE, 2 * RATE), (10 * RATE, 11 * RATE)])

    assert heard.back(1.2, 1.95, " The") == pytest.approx((10.0, 10.05))
    assert heard.back(0.9, 1.95, " coffee.") == pytest.approx((1.6, 2.0))
    assert heard.back(1.35, 1.5, " Mm") == pytest.approx((2.05, 2.2))


def test_a_word_lasts_for_a_moment_at_least(transcriber):
    heard = transcriber.Heard(np.zeros(5 * RATE, np.float32), [(1 * RATE, 2 * RATE)])

    start, end = heard.back(0.5, 0.5, " a")

    assert end - start == pytest.approx(0.02)


def test_a_model_is_not_taken_from_a_folder_that_only_has_its_name(transcriber, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()

    with pytest.raises(transcriber.WorkerRejected, match="it is not one of tiny"):
        transcriber.load("mine", "cpu", 1)
