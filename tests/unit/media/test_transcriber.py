"""Chunking of long audio for the model, and the mapping of its times."""

import wave
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import callsheet.media.speech

RATE = 16_000


@pytest.fixture(scope="module")
def transcriber():
    """Return the script as a module. Production code runs it by its path."""
    spec = spec_from_file_location("transcriber", Path(callsheet.media.speech.__file__).with_name("transcriber.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_audio(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def chunks_of(transcriber, path: Path) -> list[tuple[float, np.ndarray]]:
    with wave.open(str(path)) as file:
        return list(transcriber.read_chunks(file))


def test_long_audio_is_split_at_quiet_moments_without_loss(transcriber, tmp_path):
    whole = np.random.default_rng(0).integers(-9_000, 9_000, 400 * RATE)
    whole[270 * RATE : 271 * RATE] //= 100

    chunks = chunks_of(transcriber, write_audio(tmp_path / "long.wav", whole))

    assert [start for start, _ in chunks] == [0, len(chunks[0][1]) / RATE]
    assert 270 < chunks[1][0] < 271
    assert np.array_equal(np.concatenate([samples for _, samples in chunks]) * 32768, whole)


@pytest.mark.parametrize(("seconds", "count"), [(0, 0), (1, 1), (300, 2)])
def test_short_audio_is_one_chunk_and_empty_audio_none(transcriber, tmp_path, seconds, count):
    chunks = chunks_of(transcriber, write_audio(tmp_path / "short.wav", np.zeros(seconds * RATE)))

    assert len(chunks) == count
    assert sum(len(samples) for _, samples in chunks) == seconds * RATE


def test_long_pauses_are_shortened_and_times_are_mapped_back(transcriber):
    samples = np.arange(20 * RATE, dtype=np.float32)
    speech = transcriber.SpeechAudio(
        samples, [(1 * RATE, 2 * RATE), (10 * RATE, 11 * RATE), (int(11.4 * RATE), 12 * RATE)]
    )

    # The model receives 0.7 to 2.3 and 9.7 to 12.3; the pause of 0.4 s is kept.
    assert len(speech.samples) == pytest.approx((1.6 + 2.6) * RATE, abs=2)
    assert speech.to_chunk_time(0.5, 0.8, " inside") == pytest.approx((1.2, 1.5))
    assert speech.to_chunk_time(2.0, 2.3, " inside") == pytest.approx((10.1, 10.4))
    assert speech.to_chunk_time(3.4, 3.8, " later") == pytest.approx((11.5, 11.9))


def test_a_word_that_begins_in_a_pause_is_moved_to_the_speech(transcriber):
    speech = transcriber.SpeechAudio(np.zeros(20 * RATE, np.float32), [(1 * RATE, 2 * RATE), (10 * RATE, 11 * RATE)])

    assert speech.to_chunk_time(1.2, 1.95, " The") == pytest.approx((10.0, 10.05))
    assert speech.to_chunk_time(0.9, 1.95, " coffee.") == pytest.approx((1.6, 2.0))
    assert speech.to_chunk_time(1.35, 1.5, " Mm") == pytest.approx((2.05, 2.2))


def test_a_word_has_a_minimum_duration(transcriber):
    speech = transcriber.SpeechAudio(np.zeros(5 * RATE, np.float32), [(1 * RATE, 2 * RATE)])

    start, end = speech.to_chunk_time(0.5, 0.5, " a")

    assert end - start == pytest.approx(0.02)


def test_a_folder_in_the_working_directory_is_no_model(transcriber, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()

    with pytest.raises(transcriber.RequestRejected, match="it is not one of tiny"):
        transcriber.load_model("mine", "cpu", 1)
