"""Programs for Node.js, which answer requests: one JSON object per line in, one out."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "node"


def installed():
    """Return the folder of the Node programs, with their packages. Skips the test without Node.js or npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs Node.js 20 and npm (Debian: apt-get install nodejs npm)")
    lock = FOLDER / "package-lock.json"
    marker = FOLDER / "node_modules" / ".installed"
    with (FOLDER / ".install.lock").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_text() != lock.read_text():
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300)
            if done.returncode:
                pytest.fail(f"npm ci failed: {done.stderr[-2000:]}")
            marker.write_text(lock.read_text())
    return FOLDER


class NodeProgram:
    """A running program. `ask` sends a request and returns the response; errors of the program are raised."""

    def __init__(self, name, **environment):
        folder = installed()
        self._process = subprocess.Popen(
            ["node", folder / name],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, do, **request):
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        line = self._process.stdout.readline()
        assert line, f"the Node program ended with {self._process.poll()}"
        response = json.loads(line)
        if "error" in response:
            raise RuntimeError(response["error"])
        return response.get("value")

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
