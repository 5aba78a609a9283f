"""A fake F5-TTS: it has the command lines, the output and the files of the real one.

`install` makes its folder with an interpreter that runs the fake, so that the real commands start it. With `fail` in
`fake.json` it fails after its first checkpoint. It resumes from `model_last.pt`, as F5-TTS does.
"""

import csv
import json
import sys
import zipfile
from pathlib import Path

_SCRIPTS = ("src/f5_tts/train/finetune_cli.py", "src/f5_tts/train/datasets/prepare_csv_wavs.py")


def install(folder, **behavior):
    for script in _SCRIPTS:
        (folder / script).parent.mkdir(parents=True, exist_ok=True)
        (folder / script).touch()
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {folder} "$@"\n')
    python.chmod(0o755)
    behave(folder, **behavior)


def behave(folder, **behavior):
    (folder / "fake.json").write_text(json.dumps(behavior))


def prepare(table, out):
    with Path(table).open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file, delimiter="|")
    assert header == ["audio_file", "text"]
    assert all(Path(path).is_absolute() and Path(path).is_file() and text for path, text in rows)
    print(f"\nProcessing {len(rows)} audio files using 1 workers...")
    (Path(out) / "raw.arrow").write_bytes(b"arrow")
    (Path(out) / "duration.json").write_text(json.dumps({"duration": [1.0] * len(rows)}))


def train(folder, name, epochs):
    assert (folder / "data" / f"{name}_pinyin" / "raw.arrow").exists(), "the data of this name was not prepared"
    checkpoints = folder / "ckpts" / name
    first = 1 + (int((checkpoints / "last").read_text()) if (checkpoints / "last").exists() else 0)
    for epoch in range(first, epochs + 1):
        for step in (1, 2):
            facts = f"[00:01<00:01, 2.0update/s, loss={1 / (2 * epoch + step):.3f}, update={2 * epoch + step - 2}]"
            print(f"\rEpoch {epoch}/{epochs}: {50 * step:3}%|{'#' * step:2}| {step}/2 {facts}", end="", flush=True)
        for path in (checkpoints / f"model_{2 * epoch}.pt", checkpoints / "model_last.pt"):
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("data.pkl", str(epoch))
        (checkpoints / "last").write_text(str(epoch))
        if json.loads((folder / "fake.json").read_text()).get("fail"):
            sys.exit("\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")


if __name__ == "__main__":
    root, words = Path(sys.argv[1]), sys.argv[2:]
    if words[0].endswith("prepare_csv_wavs.py"):
        prepare(*words[1:])
    else:
        options = dict(zip(words, [*words[1:], ""], strict=True))
        train(root, options["--dataset_name"], int(options["--epochs"]))
