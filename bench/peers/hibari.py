"""hibari-tts called in a loop over sentences; `python -m bench.peers.hibari TEXTS WAV`: a JSON list, and the output."""

import json
import sys
from pathlib import Path

import numpy as np
from hibari import SAMPLE_RATE, Hibari, write_wav


def main(texts: str, output: str) -> None:
    """Speak all sentences into one file, and print its length in seconds."""
    voice = Hibari()
    audio = np.concatenate([voice(text, seed=0) for text in json.loads(Path(texts).read_text())])
    write_wav(output, audio)
    print(json.dumps({"seconds": len(audio) / SAMPLE_RATE}))


if __name__ == "__main__":
    main(*sys.argv[1:])
