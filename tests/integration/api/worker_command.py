"""The command `callsheet worker` as a process of its own, beside a server of a test."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


@contextmanager
def worker_command(settings, log, **environment):
    """Run a worker of the queue `test` on the same installation; write its log to a file."""
    variables = {
        "CALLSHEET_DATA_DIR": str(settings.data_dir),
        "CALLSHEET_DATABASE_URL": settings.database_url.get_secret_value(),
        "CALLSHEET_DATABASE_SCHEMA": settings.database_schema,
        "PYTHONPATH": str(ROOT / "src"),
        **environment,
    }
    command = [sys.executable, "-m", "callsheet", "worker", "--no-supervise", "--queues", "test"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--import", "callsheet.testing.operations"], env=os.environ | variables, stderr=errors
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)
