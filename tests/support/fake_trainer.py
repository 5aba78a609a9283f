"""A fake trainer: it has the command line, the output and the files of kohya's sd-scripts and of `diffusers-peft`.

`install` writes it as a Python interpreter, so that the real command starts it. What it does is in `fake.json` beside
it: `steps` and `every` are numbers of steps; `fail_at` is a step at which it exits with status 1; `pause_at` is a step
at which it waits for the file `go`; `say` is the message of its error; `child` makes it start a process in a session of
its own, as torchrun does.
"""

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

_INTERVAL = 0.01


def install(folder, **behavior):
    """Write the fake into a folder, and return the path of its interpreter."""
    folder.mkdir(exist_ok=True)
    behave(folder, **behavior)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {folder} "$@"\n')
    python.chmod(0o755)
    return python


def behave(folder, **behavior):
    (folder / "fake.json").write_text(json.dumps(behavior))


def calls(folder):
    """Return the arguments of each call."""
    path = folder / "calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main(folder, arguments):
    behavior = {"steps": 6, "every": 2, **json.loads((folder / "fake.json").read_text())}
    with (folder / "calls.jsonl").open("a") as file:
        file.write(json.dumps(arguments) + "\n")
    options = {name.lstrip("-").replace("-", "_"): value for name, value in pairwise(arguments)}
    output, name = Path(options["output_dir"]), options["output_name"]
    first = int(Path(options["resume"]).name.split("-step")[1].split("-")[0]) if "resume" in options else 0
    if behavior.get("child"):
        start_child(folder)
    print("\x1b[33mloading the model\x1b[0m", flush=True)
    print("a warning", file=sys.stderr, flush=True)
    for step in range(first + 1, behavior["steps"] + 1):
        bar(step, behavior["steps"])
        if step == behavior.get("pause_at"):
            wait_for(folder / "go")
        if step == behavior.get("fail_at"):
            said = behavior.get("say", "CUDA error: device-side assert triggered")
            print(f"\nRuntimeError: {said}", file=sys.stderr, flush=True)
            sys.exit(1)
        if step % behavior["every"] == 0 and step < behavior["steps"]:
            write_checkpoint(output, name, step)
    write_model(output / f"{name}.safetensors", behavior["steps"])


def start_child(folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    part = folder / "pids.part"
    part.write_text(f"{os.getpid()} {child.pid}")
    part.rename(folder / "pids")


def bar(step, steps):
    share = step / steps
    facts = f"[00:01<00:0{steps - step}, 2.0it/s, avr_loss={1 / step:.4f}]"
    print(f"\rsteps: {share:4.0%}|{'#' * int(10 * share):10}| {step}/{steps} {facts}", end="", flush=True)


def write_checkpoint(output, name, step):
    write_model(output / f"{name}-step{step:08d}.safetensors", step)
    (output / "sample").mkdir(exist_ok=True)
    (output / f"{name}-step{step:08d}-state").mkdir()


def write_model(path, step):
    """Write a file in the safetensors format."""
    header = json.dumps({"lora_unet_a.alpha": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + step.to_bytes(4, "little"))


def wait_for(path):
    while not path.exists():
        time.sleep(_INTERVAL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
