"""Worker processes that are forked from a process with all modules imported: starting one takes no seconds of imports.

    with ForkServer("support.crash_points") as server:
        process = server.start(environment, stderr=file)

The module has a function `main`, which runs in each forked process.
"""

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

TESTS = Path(__file__).parents[1]
_MESSAGE_BYTES = 2**17


class ForkServer:
    """A process that has imported a module, and forks."""

    def __init__(self, module):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.forked_worker", module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": python_path()},
            )

    def start(self, environment, *, stderr=None):
        """Return a forked process that runs `main` with these environment variables."""
        ours, theirs = os.pipe()
        files = [theirs, sys.stderr.fileno() if stderr is None else stderr.fileno()]
        socket.send_fds(self._socket, [json.dumps(dict(environment)).encode()], files)
        os.close(theirs)
        return ForkedProcess(int(self._socket.recv(_MESSAGE_BYTES)), os.fdopen(ours))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()  # ends the server
        self._process.wait(10)


class ForkedProcess:
    """A process of a ForkServer, with the methods of `subprocess.Popen` that tests use. Its exit status is unknown."""

    def __init__(self, pid, stdout):
        self.pid, self.stdout = pid, stdout
        # The server does not collect its children before it ends, so that this is still the process.
        self._descriptor = os.pidfd_open(pid)

    def poll(self):
        """Return whether it has ended: True or None."""
        return True if select.select([self._descriptor], [], [], 0)[0] else None

    def wait(self, timeout=None):
        """Wait for its end."""
        if not select.select([self._descriptor], [], [], timeout)[0]:
            raise TimeoutError(f"process {self.pid} has not ended within {timeout} s")

    def send_signal(self, number):
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def kill(self):
        """Kill it with SIGKILL."""
        self.send_signal(signal.SIGKILL)


def python_path():
    """Return a PYTHONPATH with the folder of the tests."""
    return os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))


def serve(module, requests):
    """Fork a process for each request, until the other end is closed."""
    while True:
        message, files, _, _ = socket.recv_fds(requests, _MESSAGE_BYTES, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            run(module, json.loads(message), *files)
        for file in files:
            os.close(file)
        requests.send(str(pid).encode())


def run(module, environment, stdout, stderr):
    """Run `main` of the module in this process, and end it."""
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        module.main()
    except BaseException:  # noqa: BLE001 - the end of the process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as requests:
        serve(importlib.import_module(sys.argv[1]), requests)
