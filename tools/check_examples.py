"""Check the types of the Python programs in the documentation against the package: `python tools/check_examples.py`.

Each block of a page becomes a module, except for tests, which are run instead. Exit status 1 when a type does not fit.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^```python[ ]?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_ALLOWED = ("empty-body", "top-level-await", "import-untyped", "no-untyped-def", "no-untyped-call", "typeddict-item")
"""Errors that examples may have: bodies left to the reader, and events distinguished by a text."""


def main() -> int:
    """Check all pages; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        modules = [module for page in sorted(ROOT.glob("docs/**/*.md")) for module in _modules(page, Path(folder))]
        modules += _modules(ROOT / "README.md", Path(folder))
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--no-warn-unused-ignores",
        ]
        command += [f"--disable-error-code={code}" for code in _ALLOWED]
        command += ["--ignore-missing-imports", "--cache-dir", str(ROOT / ".mypy_cache"), *map(str, modules)]
        return subprocess.run(command, cwd=ROOT, timeout=600).returncode


def _modules(page: Path, folder: Path) -> list[Path]:
    """Write the programs of a page as modules, under the names that readers give them."""
    made = []
    for number, block in enumerate(_BLOCK.finditer(page.read_text()), 1):
        names = [word for word in block[1].split() if word.endswith(".py")]
        if names and names[0].startswith("test_"):
            continue
        path = folder / (names[0] if names else f"{page.stem.replace('-', '_').lower()}_{number}.py")
        path.write_text(block[2])
        made.append(path)
    return made


if __name__ == "__main__":
    sys.exit(main())
