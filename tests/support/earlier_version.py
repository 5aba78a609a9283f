"""An earlier version of Callsheet, as a worker process.

`earlier_versions/<commit>.tar.xz` has the Python and SQL files of that commit, so that the tests need no history:

    git archive COMMIT pyproject.toml $(git ls-tree -r --name-only COMMIT src/callsheet | grep -E '\\.(py|sql)$') |
        xz -9e > tests/earlier_versions/COMMIT.tar.xz
"""

import os
import subprocess
import sys
import tarfile
import tomllib
from contextlib import contextmanager
from pathlib import Path

ARCHIVES = sorted((Path(__file__).parents[1] / "earlier_versions").glob("*.tar.xz"))


def unpack(archive, folder):
    """Unpack an earlier version. Return the folder for PYTHONPATH."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    _add_entry_points(folder)
    return folder / "src"


def revision_of(source):
    """Return the schema revision of an earlier version."""
    migrations = {}
    exec((source / "callsheet/db/migrations/__init__.py").read_text(), migrations)
    return migrations["HEAD"]


@contextmanager
def worker_of(source, settings, log, *, name):
    """Run a worker of the queue `test`, with a supervisor; write what it prints to a file."""
    variables = {
        "CALLSHEET_DATA_DIR": str(settings.data_dir),
        "CALLSHEET_DATABASE_URL": settings.database_url.get_secret_value(),
        "CALLSHEET_GRACE_PERIOD": "5",
        "PYTHONPATH": str(source),
    }
    command = [sys.executable, "-m", "callsheet", "worker", "--queues", "test", "--name", name]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--import", "callsheet.testing.operations"],
            env=os.environ | variables,
            cwd=source,
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def _add_entry_points(folder):
    """Make the operations and providers of this version those that are installed: the first on the path counts."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / "src" / f"callsheet-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: callsheet\nVersion: {project['version']}\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
