"""openai-whisper called directly; `python -m bench.peers.openai_whisper WEIGHTS WAV THREADS`."""

import json
import sys

import torch
import whisper


def main(weights: str, audio: str, threads: str) -> None:
    """Transcribe a file with times of words, and print its text. Beam search as in faster-whisper."""
    torch.set_num_threads(int(threads))
    model = whisper.load_model(weights, device="cpu")
    found = model.transcribe(audio, language="en", word_timestamps=True, beam_size=5, fp16=False)
    print(json.dumps({"text": " ".join(found["text"].split())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
