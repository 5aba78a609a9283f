"""Speech synthesis script: runs hibari-tts in a child process, as `python synthesizer.py REQUEST`.

REQUEST is a JSON object: `texts`, a JSON file with a list of sentences; `folder` for the audio; `seed`; `speed`. The
script writes `sentence-<n>.wav` for each sentence (24 kHz, one channel, 16 bits), and to stdout one JSON line for each:
`{"sentence": n, "words": […]}`, each word as [text, start, end] in seconds of its file. `words` is null if this version
of hibari-tts does not report the durations of phonemes. `{"error": …}` is the last line if a sentence cannot be spoken.

The script is run by its path and imports no other module of Callsheet: its libraries are large, and it may be killed.
"""

import json
import re
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from hibari import SAMPLE_RATE, Hibari, dsp, write_wav
from hibari.g2p import G2P
from hibari.g2p.normalize import normalize
from hibari.tts import ASSETS
from hibari.voices import DEFAULT, voice_path

_DURATIONS = "/Clip_output_0"
"""Tensor of the model with the length of each phoneme. It is not an output, so it is added to the model as one."""
_SIGNAL = ["lh", "theta", "ln", "lr", "phi", "f0"]
_MAX_PHONEMES = 400
"""More phonemes are spoken in several pieces, since the model was trained with at most this many."""
_LONG_NUMBER = re.compile(r"\d{16,}")
"""A number that hibari-tts has no word for. Its digits are spoken one by one."""
_PAUSES = frozenset(' ;:,.!?—…"“”()')
"""Symbols of the model that are no sounds."""

Span = tuple[float, float]
Samples = np.ndarray[Any, np.dtype[np.float32]]


class Voice:
    """hibari-tts with the durations of its phonemes."""

    def __init__(self) -> None:
        path = voice_path(DEFAULT)
        self._session = _session_with_durations(path)
        # Hibari loads the model itself, so it is only needed without durations.
        self._tts = Hibari() if self._session is None else None
        self._g2p = G2P() if self._tts is None else self._tts.g2p
        self._vocabulary = json.loads((Path(ASSETS) / "vocab.json").read_text(encoding="utf-8"))

    def speak(self, text: str, speed: float, seed: list[int]) -> tuple[Samples, list[tuple[str, float, float]] | None]:
        """Return the audio of a sentence, and its words with their times; None if they are unknown."""
        rng = np.random.default_rng(seed)
        audio: list[Samples] = []
        spans: list[tuple[str, Span | None]] = []
        seconds = 0.0
        spoken = normalize(_LONG_NUMBER.sub(lambda number: " ".join(number[0]), text))
        for tokens in _chunks(self._g2p.phonemize_tokens(self._g2p.tokenize(spoken))):
            samples, times = self._speak_chunk(tokens, speed, rng)
            spans += [
                (token.text, (seconds + times[n][0], seconds + times[n][1]) if n in times else None)
                for n, token in enumerate(tokens)
            ]
            audio.append(samples)
            seconds += len(samples) / SAMPLE_RATE
        joined = np.concatenate(audio) if audio else np.zeros(0, np.float32)
        return joined, None if self._session is None else list(_word_times(text, spans))

    def _speak_chunk(
        self, tokens: list[Any], speed: float, rng: np.random.Generator
    ) -> tuple[Samples, dict[int, Span]]:
        owned = _symbols(tokens)
        known = [(symbol, token) for symbol, token in owned if symbol in self._vocabulary]
        ids = [0, *(self._vocabulary[symbol] for symbol, _ in known), 0]
        if not known:
            return np.zeros(0, np.float32), {}
        if self._tts is not None:
            return self._tts.from_ids(ids, speed, rng), {}
        inputs = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        *signal, durations = self._session.run([*_SIGNAL, _DURATIONS], inputs)
        samples = dsp.synth(*(each[0] for each in signal), rng)
        # The model returns durations in units; their sum is the audio.
        ends = np.cumsum(durations.ravel()[: len(ids)]) / durations.sum() * len(samples) / SAMPLE_RATE
        times: dict[int, Span] = {}
        for place, (symbol, token) in enumerate(known):
            if symbol not in _PAUSES:
                start = times[token][0] if token in times else float(ends[place])
                times[token] = (start, float(ends[place + 1]))
        return samples, times


def _session_with_durations(path: str) -> Any:
    """Return the model with the durations as an output; None if it has no such tensor.

    Concatenated protobuf messages are merged, so a message with an output in a graph adds this output.
    """
    output = _field(7, _field(12, _field(1, _DURATIONS.encode())))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(Path(path).read_bytes() + output, options, ["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - onnxruntime has a class of its own for each code of a C library
        return None


def _field(number: int, value: bytes) -> bytes:
    """Return a protobuf field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


def _chunks(tokens: list[Any]) -> Iterator[list[Any]]:
    """Yield tokens of at most `_MAX_PHONEMES` phonemes together, split after punctuation if there is any."""
    chunk: list[Any] = []
    length = 0
    for token in tokens:
        size = len(token.phonemes or "") + 1
        if chunk and length + size > _MAX_PHONEMES:
            yield chunk
            chunk, length = [], 0
        chunk.append(token)
        length += size
        if length > _MAX_PHONEMES / 2 and (token.phonemes or "")[-1:] in (",", ";", ":", "—", "."):
            yield chunk
            chunk, length = [], 0
    if chunk:
        yield chunk


def _symbols(tokens: list[Any]) -> list[tuple[str, int]]:
    """Return the phonemes of tokens, each with the number of its token, as hibari joins them."""
    owned = [
        (symbol, number)
        for number, token in enumerate(tokens)
        for symbol in (token.phonemes or "") + (" " if token.whitespace else "")
    ]
    while owned and owned[0][0] == " ":
        owned.pop(0)
    while owned and owned[-1][0] == " ":
        owned.pop()
    return owned


def _word_times(text: str, spans: list[tuple[str, Span | None]]) -> Iterator[tuple[str, float, float]]:
    """Yield the spans of speech by words of the text. Spans are of tokens of the normalized text: `$5`, `five dollars`.

    A word without sound of its own is left out.
    """
    spoken = _lower("".join(token for token, _ in spans))
    owner = [number for number, (token, _) in enumerate(spans) for _ in token]
    written = _lower("".join(text.split()))
    words = _words_by_character(text)
    tokens_of: dict[int, set[int]] = {}
    matcher = SequenceMatcher(None, spoken, written, autojunk=False)
    for _, low, high, first, last in matcher.get_opcodes():
        for offset in range(max(high - low, last - first)) if high > low and last > first else ():
            here = low + offset * (high - low) // max(high - low, last - first)
            there = first + offset * (last - first) // max(high - low, last - first)
            tokens_of.setdefault(words[there], set()).add(owner[here])
    last_end = 0.0
    for number, word in enumerate(text.split()):
        times = [span for token in tokens_of.get(number, ()) if (span := spans[token][1]) is not None]
        if times:
            start = max(last_end, min(start for start, _ in times))
            last_end = max(start, max(end for _, end in times))
            yield word, start, last_end


def _lower(text: str) -> str:
    """Return the text in lower case, with the same number of characters."""
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _words_by_character(text: str) -> list[int]:
    """Return the number of the word of each character, without spaces."""
    return [number for number, word in enumerate(text.split()) for _ in word]


def main(request: dict[str, Any]) -> None:
    """Speak all sentences."""
    voice = Voice()
    for number, text in enumerate(json.loads(Path(request["texts"]).read_text(encoding="utf-8"))):
        audio, words = voice.speak(text, request["speed"], [request["seed"], number])
        if not len(audio):
            _write({"error": f"hibari-tts, which speaks English, has no sounds for '{text[:60]}'"})
            return
        write_wav(str(Path(request["folder"]) / f"sentence-{number}.wav"), audio)
        _write({"sentence": number, "words": words})


def _write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
