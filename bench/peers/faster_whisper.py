"""faster-whisper called directly; `python -m bench.peers.faster_whisper MODEL WAV THREADS`."""

import json
import sys

from faster_whisper import WhisperModel


def main(model: str, audio: str, threads: str) -> None:
    """Transcribe a file with times of words, and print its text."""
    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=int(threads))
    segments, _ = whisper.transcribe(audio, language="en", word_timestamps=True, vad_filter=True)
    print(json.dumps({"text": " ".join(segment.text.strip() for segment in segments)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
