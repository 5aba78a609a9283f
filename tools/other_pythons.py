"""Try the other supported versions of Python that are on this machine.

For each: an environment of its own (`.venv-3.12`) with the dependencies of the package in the versions of the lock
file, an import of every module, and the unit tests of `domain/`.

Usage: python tools/other_pythons.py
Exit status 1 if one fails. A version that is not on this machine is named and left out.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
TESTS = ("tests/unit/domain",)
TEST_PACKAGES = ("hypothesis", "pytest", "pytest-asyncio", "pytest-rerunfailures")
IMPORT_ALL = """
import importlib, pkgutil, sys
import callsheet
done, left_out = 0, set()
for module in pkgutil.walk_packages(callsheet.__path__, "callsheet."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
        done += 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "callsheet":
            raise
        left_out.add(error.name.partition(".")[0])
print(f"{done} modules imported; extras not installed: {', '.join(sorted(left_out))}")
"""


def main() -> int:
    """Try all versions at once, and return the exit status."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {version: find_python(version) for version in supported_versions() if version != running}
    for version in (version for version, interpreter in found.items() if interpreter is None):
        print(f"Python {version}: not on this machine, and not tried.")
    present = [(version, interpreter) for version, interpreter in found.items() if interpreter is not None]
    with ThreadPoolExecutor(max(len(present), 1)) as pool:
        results = list(pool.map(lambda each: try_python(*each), present))
    return int(not all(results))


def supported_versions() -> list[str]:
    """Return the versions of the classifiers in pyproject.toml, such as `3.12`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))


def find_python(version: str) -> Path | None:
    """Return a working interpreter of a version: on the PATH, of pyenv, or of uv."""
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
    ]
    candidates += Path.home().glob(f".local/share/uv/python/cpython-{version}.*/bin/python3")
    return next((Path(path) for path in candidates if path is not None and _is_version(Path(path), version)), None)


def _is_version(interpreter: Path, version: str) -> bool:
    """Return whether an interpreter works: a shim of pyenv is on the PATH also without its version."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def try_python(version: str, interpreter: Path) -> bool:
    """Install, import and test with an interpreter; return whether all of it works."""
    place = ROOT / f".venv-{version}"
    python, constraints = place / "bin/python", place / "constraints.txt"
    install = [UV, "pip", "install", "--quiet", "--python", python, "--constraint", constraints]
    steps: list[list[str | Path]] = [
        [UV, "venv", "--quiet", "--clear", "--python", interpreter, place],
        [*install, "--editable", ".", *TEST_PACKAGES],
        [python, "-c", IMPORT_ALL],
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
    ]
    for step in steps:
        environment = {**os.environ, "PYTHONWARNINGS": "error::SyntaxWarning"}
        done = subprocess.run(step, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"Python {version} ({interpreter}) failed: {' '.join(map(str, step))}\n{done.stdout}{done.stderr}")
            return False
        if step is steps[0]:
            constraints.write_text(_constraints())
        elif done.stdout:
            print(f"Python {version}: {done.stdout.strip().splitlines()[-1]}", flush=True)
    return True


def _constraints() -> str:
    """Return the versions of the lock file, without its hashes: most of its packages are not installed."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return "".join(line.removesuffix(" \\") + "\n" for line in lines if line[:1].strip("# "))


if __name__ == "__main__":
    sys.exit(main())
