"""Record the command line options of trainers, as facts for the tests of rendered commands.

Usage: python tools/record_trainer_options.py SD_SCRIPTS MUSUBI_TUNER F5_TTS

The arguments are checkouts of kohya-ss/sd-scripts, kohya-ss/musubi-tuner and SWivid/F5-TTS. The functions that build
their argument parsers run without the rest of their modules, so none of their dependencies is needed. The result is
tests/unit/training/trainer_options.json: for each script, the options with type, choices and number of values.
"""

import argparse
import ast
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

TARGET = Path(__file__).resolve().parent.parent / "tests/unit/training/trainer_options.json"
SCRIPTS = {
    "train_network.py": (0, "train_network.py", "setup_parser"),
    "sdxl_train_network.py": (0, "sdxl_train_network.py", "setup_parser"),
    "flux_train_network.py": (0, "flux_train_network.py", "setup_parser"),
    "wan_train_network.py": (1, "src/musubi_tuner/wan_train_network.py", "setup_parser_common wan_setup_parser"),
    "wan_cache_latents.py": (
        1,
        "src/musubi_tuner/wan_cache_latents.py",
        "cache_latents.setup_parser_common wan_setup_parser",
    ),
    "wan_cache_text_encoder_outputs.py": (
        1,
        "src/musubi_tuner/wan_cache_text_encoder_outputs.py",
        "cache_text_encoder_outputs.setup_parser_common wan_setup_parser",
    ),
    "finetune_cli.py": (2, "src/f5_tts/train/finetune_cli.py", "parse_args"),
    "prepare_csv_wavs.py": (2, "src/f5_tts/train/datasets/prepare_csv_wavs.py", "get_args"),
}
"""Script → checkout, its path, and the functions that build its parser: the first returns it, the others extend it."""


class Unknown:
    """A name of a module that is not loaded. Functions of other modules are found by their name."""

    def __init__(self, module: "Module | None" = None) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = self._module.find(name) if self._module is not None else None
        return Unknown() if found is None else found

    def __call__(self, *_args: Any, **_options: Any) -> "Unknown":
        """Return another unknown value."""
        return Unknown()

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Module(dict[str, Any]):
    """The names of a source file: its functions and literals, and those of the modules that it imports."""

    loaded: ClassVar[dict[Path, "Module"]] = {}

    def __init__(self, path: Path, root: Path) -> None:
        super().__init__(argparse=argparse, __builtins__=__builtins__, __name__="recorded", __file__=str(path))
        self.loaded[path] = self
        self.path, self.root = path, root
        self.tree = ast.parse(path.read_text("utf-8"))

    def __missing__(self, name: str) -> Any:
        if name in dir(__import__("builtins")):
            raise KeyError(name)
        value = self.find(name)
        return Unknown() if value is None else value

    def find(self, name: str) -> Any:
        """Return a function, literal or imported module of this file; None if it has none of that name."""
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return self._run(node, name)
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return self._literal(node.value)
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name and (found := self._imported(node, alias.name)) is not None:
                        return found
        return None

    def _run(self, node: ast.FunctionDef, name: str) -> Any:
        node.decorator_list = []
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        exec(compile(ast.Module([node], []), str(self.path), "exec"), self)
        return self[name]

    def _literal(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Dict):
            return {ast.literal_eval(key): None for key in node.keys if isinstance(key, ast.Constant)}
        try:
            return ast.literal_eval(node)
        except ValueError:
            return None

    def _imported(self, node: ast.Import | ast.ImportFrom, name: str) -> Any:
        base = (getattr(node, "module", None) or "").replace(".", "/")
        for folder in (self.root, self.root / "src"):
            for path, inner in (
                (folder / base / f"{name.replace('.', '/')}.py", None),
                (folder / f"{base}.py", name),
                (folder / base / "__init__.py", name),
            ):
                if path.is_file() and path != self.path:
                    module = self.loaded.get(path) or Module(path, self.root)
                    return Unknown(module) if inner is None else module.find(inner)
        return None


def record(root: Path, script: str, builders: str) -> dict[str, Any]:
    """Return the options of a script by their name."""
    first, *others = builders.split()
    module = Module(root / script, root)
    parsers: list[argparse.ArgumentParser] = []

    def construct(parser: argparse.ArgumentParser, *args: Any, **options: Any) -> None:
        initialize(parser, *args, **options)
        parsers.append(parser)

    def stop(*_args: Any, **_options: Any) -> None:
        raise StopIteration

    initialize = argparse.ArgumentParser.__init__
    with (
        mock.patch.object(argparse.ArgumentParser, "__init__", construct),
        mock.patch.object(argparse.ArgumentParser, "parse_args", stop),
    ):
        name, _, attribute = first.partition(".")
        build = getattr(module.find(name), attribute) if attribute else module.find(name)
        with contextlib.suppress(StopIteration):
            build()
        for name in others:
            module.find(name)(parsers[0])
    return {option: facts for action in parsers[0]._actions for option, facts in _facts(action)}


def _facts(action: argparse.Action) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = getattr(action.type, "__name__", None)
    facts = {
        "values": "none" if action.nargs == 0 else "many" if action.nargs in ("*", "+") else "one",
        "type": kind if kind in ("int", "float") else None,
        "choices": [choice for choice in action.choices if choice is not None] if action.choices else None,
        "required": action.required,
    }
    for option in action.option_strings or [action.dest]:
        if option not in ("-h", "--help"):
            yield option, {name: value for name, value in facts.items() if value}


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout, or the text of its file COMMIT."""
    named = checkout / "COMMIT"
    if named.is_file():
        return named.read_text().strip()
    return subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def main() -> None:
    """Write the file."""
    checkouts = [Path(argument).resolve() for argument in sys.argv[1:4]]
    recorded: dict[str, Any] = {}
    names = ["kohya-ss/sd-scripts", "kohya-ss/musubi-tuner", "SWivid/F5-TTS"]
    for name, (checkout, path, builders) in SCRIPTS.items():
        Module.loaded.clear()
        options = record(checkouts[checkout], path, builders)
        recorded[name] = {"repository": names[checkout], "commit": commit_of(checkouts[checkout]), "options": options}
        print(f"{name}: {len(options)} options")
    TARGET.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
