"""Writes speech down by faster-whisper, in a process of its own.

Run as `python transcriber.py REQUEST`, a JSON object: `sound`, a WAV file of 16 kHz, one channel, 16 bits; `model`, a
folder or a name; `device`; `threads`; `language` or null; `task`. It writes lines of JSON: `{"done": …}` with the
seconds heard so far, and the `words` in them if any, each a start, an end, a text and a probability; before the first
words `{"language": …, "probability": …}`; at last `{"note": …}`, which may be null, or `{"error": …, "about": …}`.
It is run by its path and imports nothing of ours, since the libraries it loads are large and it may be killed.
"""

import ctypes
import json
import logging
import os
import sys
import wave
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.utils import available_models, download_model
from faster_whisper.vad import VadOptions, get_speech_timestamps

_RATE = 16_000
_PIECE = 300 * _RATE
"""Samples held at once, whatever the length of the film."""
_CUT_IN = 60 * _RATE
"""The quietest moment in the last of these samples ends a piece, so that no word is cut in two."""
_QUIET = _RATE // 2
_PAUSE = 250
"""Milliseconds without speech that count as a pause."""
_AROUND = 3 * _RATE // 10
"""Samples before and after speech that the model hears too; longer pauses are shortened to twice of it."""
_ENDS = frozenset(".,;:?!…。、，？！")
_LEAST = 0.02
"""Seconds of a word."""

Samples = np.ndarray[Any, np.dtype[np.float32]]
Span = tuple[int, int]


class WorkerRejected(Exception):
    """What was asked cannot be done; `about` names the part of the request."""

    def __init__(self, about: str, message: str) -> None:
        self.about = about
        super().__init__(message)


def main(request: dict[str, Any]) -> None:
    """Write down one file."""
    device, note = choose_device(request["device"])
    model = load(request["model"], device, request["threads"])
    language = request["language"]
    if language is not None and language not in model.supported_languages:
        raise WorkerRejected(
            "language", f"'{language}' is not among those it knows: {', '.join(model.supported_languages)}"
        )
    if request["task"] == "translate" and not model.model.is_multilingual:
        raise WorkerRejected("task", "it knows only English, so there is nothing that it could translate")
    send({"done": 0.0})
    with wave.open(request["sound"]) as sound:
        for start, samples in pieces(sound):
            if speech := find_speech(samples):
                heard = Heard(samples, speech)
                if language is None:
                    language, probability = detect(model, heard.samples)
                    send({"language": language, "probability": probability})
                for words, done in transcribe(model, heard, language, request["task"]):
                    send({"done": start + done, "words": [(start + a, start + b, *rest) for a, b, *rest in words]})
            send({"done": start + len(samples) / _RATE})
    send({"note": note})


def choose_device(wanted: str) -> tuple[str, str | None]:
    """Return `cpu` or `cuda`, and what kept a GPU that is there from being used."""
    if wanted != "auto" or not ctranslate2.get_cuda_device_count():
        return ("cpu" if wanted == "auto" else wanted), None
    try:
        ctypes.CDLL("libcublas.so.12")
    except OSError as error:
        return "cpu", f"the GPU was not used: {error}"
    return "cuda", None


def load(name: str, device: str, threads: int) -> WhisperModel:
    """Return a model, from a folder, from those fetched earlier, or from where faster-whisper publishes them."""
    folder = name if os.path.isabs(name) else fetch(name)  # noqa: PTH117 - pathlib tells nothing more
    return WhisperModel(folder, device=device, compute_type="auto", cpu_threads=threads)


def fetch(name: str) -> str:
    """Return the folder of a model by its name, which may be downloaded."""
    if "/" not in name and name not in available_models():
        raise WorkerRejected("model", f"it is not one of {', '.join(available_models())}")
    with suppress(FileNotFoundError):
        folder: str = download_model(name, local_files_only=True)
        if os.path.exists(os.path.join(folder, "model.bin")):  # noqa: PTH110, PTH118 - else it came only in part
            return folder
    try:
        return str(download_model(name))
    except OSError as error:
        raise WorkerRejected("download", str(error).splitlines()[0]) from error


def pieces(sound: wave.Wave_read) -> Iterator[tuple[float, Samples]]:
    """Return a file in pieces that end in quiet moments, each with the second it begins at."""
    start = 0
    kept = np.empty(0, np.float32)
    while True:
        fresh = np.frombuffer(sound.readframes(_PIECE - len(kept)), "<i2").astype(np.float32) / 32768
        samples = np.concatenate([kept, fresh])
        end = len(samples) if len(samples) < _PIECE else quietest(samples)
        if end:
            yield start / _RATE, samples[:end]
        if end == len(samples):
            return
        start, kept = start + end, samples[end:]


def quietest(samples: Samples) -> int:
    """Return the middle of the quietest half second near the end."""
    power = np.cumsum(samples[-_CUT_IN:].astype(np.float64) ** 2)
    quiet = int(np.argmin(power[_QUIET:] - power[:-_QUIET]))
    return len(samples) - _CUT_IN + quiet + _QUIET // 2


def find_speech(samples: Samples) -> list[Span]:
    """Return the samples between which somebody speaks."""
    found = get_speech_timestamps(samples, VadOptions(min_silence_duration_ms=_PAUSE, speech_pad_ms=0))
    return [(span["start"], span["end"]) for span in found]


class Heard:
    """What the model is given of a piece: speech with short pauses. Times in it lead back to times in the piece."""

    def __init__(self, samples: Samples, speech: list[Span]) -> None:
        parts = _widened(speech, len(samples))
        self.samples: Samples = np.concatenate([samples[start:end] for start, end in parts])
        self._speech = [
            ((start - shift) / _RATE, (end - shift) / _RATE, shift / _RATE)
            for start, end in speech
            for shift in [_left_out(parts, start)]
        ]

    def back(self, start: float, end: float, text: str) -> tuple[float, float]:
        """Return when a word was said in the piece.

        The model lets the first word after a pause begin in the pause, or even at the end of the word before it; it
        begins with the speech. A word that ends a sentence rather lasts for the pause after it.
        """
        doubt = 1.0 if text.rstrip()[-1:] in _ENDS else 0.25

        def shared(speech: tuple[float, float, float]) -> float:
            overlap = min(end, speech[1]) - max(start, speech[0])
            return overlap * doubt if overlap > 0 and speech[0] <= start else overlap

        first, last, shift = max(self._speech, key=shared)
        if start < last and end > first:
            start, end = max(start, first), min(end, last)
        return start + shift, max(end, start + _LEAST) + shift


def _widened(speech: list[Span], length: int) -> list[Span]:
    parts: list[Span] = []
    for start, end in speech:
        start, end = max(0, start - _AROUND), min(length, end + _AROUND)
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    return parts


def _left_out(parts: list[Span], until: int) -> int:
    """Return how many samples before a moment are in no part."""
    before = [(start, end) for start, end in parts if start <= until]
    return before[-1][0] - sum(end - start for start, end in before[:-1])


def detect(model: WhisperModel, samples: Samples) -> tuple[str, float]:
    """Return the language that is spoken, and how sure that is."""
    if not model.model.is_multilingual:
        return "en", 1.0
    language, probability, _ = model.detect_language(samples, language_detection_segments=4)
    return language, probability


def transcribe(
    model: WhisperModel, heard: Heard, language: str, task: str
) -> Iterator[tuple[list[tuple[Any, ...]], float]]:
    """Return the words of a piece as they are found, each time with the second they end at."""
    # What came before would help little, and makes the model repeat itself for minutes when it errs once.
    segments, _ = model.transcribe(
        heard.samples, language=language, task=task, word_timestamps=True, condition_on_previous_text=False
    )
    for segment in segments:
        words = [(*heard.back(w.start, w.end, w.word), w.word, w.probability) for w in segment.words or ()]
        yield words, max((word[1] for word in words), default=0.0)


def send(line: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(line, default=float) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("faster_whisper").setLevel(logging.ERROR)
    try:
        main(json.loads(sys.argv[1]))
    except (WorkerRejected, RuntimeError, MemoryError) as error:
        send({"error": str(error) or type(error).__name__, "about": getattr(error, "about", None)})
