"""Transcription script: runs faster-whisper in a child process, as `python transcriber.py REQUEST`.

REQUEST is a JSON object: `audio`, a WAV file of 16 kHz, one channel, 16 bits; `model`, a folder or a name; `device`;
`threads`; `language` or null; `task`. The script writes JSON lines to stdout:

- `{"done": …}` with the processed seconds, and the `words` in them if any, each as [start, end, text, probability];
- `{"language": …, "probability": …}` before the first words, if the language was detected;
- finally `{"note": …}`, which may be null, or `{"error": …, "field": …}`.

The script is run by its path and imports no other module of Callsheet: its libraries are large, and it may be killed.
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
_CHUNK_SAMPLES = 300 * _RATE
"""Maximum number of samples in memory."""
_CUT_RANGE = 60 * _RATE
"""A chunk ends at the quietest moment of its last samples in this range, so that no word is split."""
_QUIET_WINDOW = _RATE // 2
_MIN_PAUSE_MS = 250
"""Milliseconds without speech that count as a pause."""
_PADDING = 3 * _RATE // 10
"""Samples before and after speech that are passed to the model. A longer pause is shortened to twice this length."""
_PUNCTUATION = frozenset(".,;:?!…。、，？！")
_MIN_WORD_DURATION = 0.02
"""Seconds."""

Samples = np.ndarray[Any, np.dtype[np.float32]]
Span = tuple[int, int]


class RequestRejected(Exception):
    """The request is invalid, or the model is not available. `field` names the field of the request."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def main(request: dict[str, Any]) -> None:
    """Transcribe one file."""
    device, note = choose_device(request["device"])
    model = load_model(request["model"], device, request["threads"])
    language = request["language"]
    if language is not None and language not in model.supported_languages:
        supported = ", ".join(model.supported_languages)
        raise RequestRejected("language", f"'{language}' is not one of its languages: {supported}")
    if request["task"] == "translate" and not model.model.is_multilingual:
        raise RequestRejected("task", "it supports only English, so it cannot translate")
    send({"done": 0.0})
    with wave.open(request["audio"]) as audio:
        for start, samples in read_chunks(audio):
            if spans := detect_speech(samples):
                speech = SpeechAudio(samples, spans)
                if language is None:
                    language, probability = detect_language(model, speech.samples)
                    send({"language": language, "probability": probability})
                for words, done in transcribe(model, speech, language, request["task"]):
                    send({"done": start + done, "words": [(start + a, start + b, *rest) for a, b, *rest in words]})
            send({"done": start + len(samples) / _RATE})
    send({"note": note})


def choose_device(requested: str) -> tuple[str, str | None]:
    """Return `cpu` or `cuda`, and the reason if an existing GPU is not used."""
    if requested != "auto" or not ctranslate2.get_cuda_device_count():
        return ("cpu" if requested == "auto" else requested), None
    try:
        ctypes.CDLL("libcublas.so.12")
    except OSError as error:
        return "cpu", f"the GPU was not used: {error}"
    return "cuda", None


def load_model(name: str, device: str, threads: int) -> WhisperModel:
    """Return a model from a folder, from the download cache, or from the model hub."""
    folder = name if os.path.isabs(name) else fetch_model(name)  # noqa: PTH117 - Path is not needed for a check
    return WhisperModel(folder, device=device, compute_type="auto", cpu_threads=threads)


def fetch_model(name: str) -> str:
    """Return the folder of a model by its name. Downloads it if it is not in the cache."""
    if "/" not in name and name not in available_models():
        raise RequestRejected("model", f"it is not one of {', '.join(available_models())}")
    with suppress(FileNotFoundError):
        folder: str = download_model(name, local_files_only=True)
        if os.path.exists(os.path.join(folder, "model.bin")):  # noqa: PTH110, PTH118 - else the download is incomplete
            return folder
    try:
        return str(download_model(name))
    except OSError as error:
        # The hub begins some of its messages with "Got: ".
        raise RequestRejected("download", str(error).splitlines()[0].removeprefix("Got: ")) from error


def read_chunks(audio: wave.Wave_read) -> Iterator[tuple[float, Samples]]:
    """Yield the audio in chunks that end in quiet moments, each with its start in seconds."""
    start = 0
    remaining = np.empty(0, np.float32)
    while True:
        frames = audio.readframes(_CHUNK_SAMPLES - len(remaining))
        samples = np.concatenate([remaining, np.frombuffer(frames, "<i2").astype(np.float32) / 32768])
        end = len(samples) if len(samples) < _CHUNK_SAMPLES else find_quiet_sample(samples)
        if end:
            yield start / _RATE, samples[:end]
        if end == len(samples):
            return
        start, remaining = start + end, samples[end:]


def find_quiet_sample(samples: Samples) -> int:
    """Return the center of the quietest half second near the end."""
    energy = np.cumsum(samples[-_CUT_RANGE:].astype(np.float64) ** 2)
    quietest = int(np.argmin(energy[_QUIET_WINDOW:] - energy[:-_QUIET_WINDOW]))
    return len(samples) - _CUT_RANGE + quietest + _QUIET_WINDOW // 2


def detect_speech(samples: Samples) -> list[Span]:
    """Return the sample ranges that contain speech (voice activity detection)."""
    spans = get_speech_timestamps(samples, VadOptions(min_silence_duration_ms=_MIN_PAUSE_MS, speech_pad_ms=0))
    return [(span["start"], span["end"]) for span in spans]


class SpeechAudio:
    """The speech of a chunk with shortened pauses, and the mapping of its times to times of the chunk."""

    def __init__(self, samples: Samples, speech: list[Span]) -> None:
        parts = _pad(speech, len(samples))
        self.samples: Samples = np.concatenate([samples[start:end] for start, end in parts])
        self._speech = [
            ((start - shift) / _RATE, (end - shift) / _RATE, shift / _RATE)
            for start, end in speech
            for shift in [_removed_samples(parts, start)]
        ]

    def to_chunk_time(self, start: float, end: float, text: str) -> tuple[float, float]:
        """Return start and end of a word in the chunk, in seconds.

        Whisper lets the first word after a pause begin in the pause, or even at the end of the word before the pause.
        Such a word is moved to the speech after the pause. A word with punctuation is rather extended into the pause
        after it, so it stays.
        """
        weight = 1.0 if text.rstrip()[-1:] in _PUNCTUATION else 0.25

        def weighted_overlap(speech: tuple[float, float, float]) -> float:
            overlap = min(end, speech[1]) - max(start, speech[0])
            return overlap * weight if overlap > 0 and speech[0] <= start else overlap

        first, last, shift = max(self._speech, key=weighted_overlap)
        if start < last and end > first:
            start, end = max(start, first), min(end, last)
        return start + shift, max(end, start + _MIN_WORD_DURATION) + shift


def _pad(speech: list[Span], length: int) -> list[Span]:
    parts: list[Span] = []
    for start, end in speech:
        start, end = max(0, start - _PADDING), min(length, end + _PADDING)
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    return parts


def _removed_samples(parts: list[Span], position: int) -> int:
    """Return the number of samples before a position that are in no part."""
    before = [(start, end) for start, end in parts if start <= position]
    return before[-1][0] - sum(end - start for start, end in before[:-1])


def detect_language(model: WhisperModel, samples: Samples) -> tuple[str, float]:
    """Return the spoken language and its probability."""
    if not model.model.is_multilingual:
        return "en", 1.0
    language, probability, _ = model.detect_language(samples, language_detection_segments=4)
    return language, probability


def transcribe(
    model: WhisperModel, speech: SpeechAudio, language: str, task: str
) -> Iterator[tuple[list[tuple[Any, ...]], float]]:
    """Yield the words of each segment, and the end of the last word in seconds."""
    # Conditioning on previous text helps little, and after one error the model may repeat itself for minutes.
    segments, _ = model.transcribe(
        speech.samples, language=language, task=task, word_timestamps=True, condition_on_previous_text=False
    )
    for segment in segments:
        words = [(*speech.to_chunk_time(w.start, w.end, w.word), w.word, w.probability) for w in segment.words or ()]
        yield words, max((word[1] for word in words), default=0.0)


def send(message: dict[str, Any]) -> None:
    """Write one JSON line."""
    sys.stdout.write(json.dumps(message, default=float) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("faster_whisper").setLevel(logging.ERROR)
    try:
        main(json.loads(sys.argv[1]))
    except (RequestRejected, RuntimeError, MemoryError) as error:
        send({"error": str(error) or type(error).__name__, "field": getattr(error, "field", None)})
