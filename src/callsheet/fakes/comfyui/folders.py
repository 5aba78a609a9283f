"""Input, output and temporary files of the fake server."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Folders:
    """The folders of one server."""

    base: Path
    temp: Path

    def of(self, kind: str) -> Path:
        """Return the folder of a file type: `input`, `output` or `temp`. Raises KeyError for another type."""
        return {"input": self.base / "input", "output": self.base / "output", "temp": self.temp}[kind]

    def save(self, prefix: str, suffix: str, data: bytes, *, temp: bool = False) -> dict[str, str]:
        """Write a file under the next free name, and return its entry for the history."""
        kind = "temp" if temp else "output"
        subfolder, _, stem = prefix.rpartition("/")
        folder = self.of(kind) / subfolder
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_counter(path.name, stem) for path in folder.iterdir()), default=0)
        name = f"{stem}_{number:05}_{suffix}"
        (folder / name).write_bytes(data)
        return {"filename": name, "subfolder": subfolder, "type": kind}


def _counter(name: str, stem: str) -> int:
    digits = name.removeprefix(f"{stem}_").partition("_")[0] if name.startswith(f"{stem}_") else ""
    return int(digits) if digits.isdecimal() else 0
