"""The TypeScript client: built from the document of a real server, and tested against it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "clients" / "typescript"
CALLSHEET = [sys.executable, "-m", "callsheet"]
_NODE = 20


def node_version():
    if shutil.which("node") is None or shutil.which("npm") is None:
        return 0
    return int(
        subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout[1:].split(".")[0]
    )


pytestmark = pytest.mark.skipif(node_version() < _NODE, reason=f"needs Node.js {_NODE} or newer, with npm")


@contextmanager
def running(*words, environment, log):
    """Run a command until the block ends, with its output in a file."""
    with log.open("w") as output:
        process = subprocess.Popen([*CALLSHEET, *words], env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def until(condition, process, log):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def responds(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status == 200
    except OSError:
        return False


@pytest.fixture
def server(tmp_path, database_url):
    """The environment of a server with a worker and fakes of all providers, which can call it."""
    fakes = tmp_path / "fakes.env"
    with running("dev", "fakes", "--port", "0", "--pace", "1.5", environment=os.environ, log=fakes) as process:
        until(lambda: "fakes of all providers" in fakes.read_text().lower(), process, fakes)
        variables = dict(re.findall(r"^export (\w+)=(\S+)$", fakes.read_text(), re.MULTILINE))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            **variables,
            "CALLSHEET_DATA_DIR": str(tmp_path / "data"),
            "CALLSHEET_DATABASE_URL": database_url,
            "CALLSHEET_PORT": str(port),
            "CALLSHEET_PUBLIC_URL": url,
            "CALLSHEET_PROVIDER_POLL_INITIAL": "0.2s",
            "CALLSHEET_PROVIDER_POLL_INTERVAL": "0.05s",
            "CALLSHEET_URL": url,
        }
        log = tmp_path / "up.log"
        with running("up", environment=environment, log=log) as process:
            until(lambda: responds(f"{url}/readyz"), process, log)
            yield environment


def run(*command, environment):
    done = subprocess.run(
        command, cwd=PACKAGE, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def test_the_package_and_its_examples_work_with_the_document_of_a_server(server):
    if not (PACKAGE / "node_modules" / ".package-lock.json").exists():
        run("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", environment=server)

    run("npm", "run", "build", environment=server)
    assert re.search(r"^. pass 9$", run("npm", "test", environment=server), re.MULTILINE)
    webhook = run("node", "dist/examples/test-webhook-flow.js", environment=server)
    polling = run("node", "dist/examples/test-polling-flow.js", environment=server)

    assert "webhook received" in webhook
    assert webhook.splitlines()[-1] == polling.splitlines()[-1] == "Final status: succeeded, 1 file(s)"


def test_the_lock_file_names_no_registry():
    assert '"resolved"' not in (PACKAGE / "package-lock.json").read_text()
