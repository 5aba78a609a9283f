"""The package that people install: complete, and quick to start."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src/callsheet"
_NOT_PACKAGED = {"__pycache__", ".pyc"}
MAX_WHEEL_BYTES = 12 * 2**20
"""Most of it are fonts."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def callsheet(installed: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "callsheet", *args]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=installed, timeout=60)


def test_the_wheel_has_every_file_of_the_package_and_the_examples(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    expected = {f"callsheet/{path.relative_to(PACKAGE)}" for path in files if not _is_left_out(path)}
    assert expected - names == set()
    assert [name for name in names if name.startswith("callsheet/example_plans/") and name.endswith(".yaml")]
    assert not [name for name in names if "node_modules" in name or "/tests/" in name]
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def _is_left_out(path: Path) -> bool:
    return not _NOT_PACKAGED.isdisjoint({*path.parts, path.suffix})


def test_the_source_distribution_can_be_built_again(built: Path, tmp_path: Path):
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()

    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)

    assert [each.suffix for each in (tmp_path / "again").iterdir()] == [".whl"]


def test_an_installed_wheel_finds_its_operations_plans_and_pages(installed: Path):
    operations = callsheet(installed, "operations", "list")
    shown = callsheet(installed, "plan", "check", str(ROOT / "examples/edit.yaml"))
    where = subprocess.run(
        [sys.executable, "-c", "import callsheet; print(callsheet.__file__)"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (operations.returncode, "render" in operations.stdout) == (0, True), operations.stderr
    assert shown.returncode == 0, shown.stderr
    assert Path(where.stdout.strip()).is_relative_to(installed)
    assert (installed / "callsheet/console/templates/layout.html").is_file()


_HELP = """
import json, runpy, sys
sys.argv = ["callsheet", "--help"]
try:
    runpy.run_module("callsheet", run_name="__main__")
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
_HEAVY = {
    "alembic",
    "asyncpg",
    "av",
    "cryptography",
    "fastapi",
    "httpx2",
    "jinja2",
    "numpy",
    "obstore",
    "PIL",
    "pydantic",
}
_HEAVY |= {"sqlalchemy", "structlog", "uvicorn"}
_HEAVY |= {f"callsheet.{name}" for name in ("api", "console", "db", "engine", "media", "operations", "providers")}
_HEAVY |= {"callsheet.settings", "callsheet.wiring"}


def test_the_help_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", _HELP], capture_output=True, text=True, check=False, timeout=60)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))

    assert "callsheet.cli.app" in loaded
    assert loaded & _HEAVY == set()
