"""Worker processes that tests can kill."""

import os
import selectors
import signal
import subprocess
import sys

from support.forked_worker import ForkServer, python_path

WORKER = [sys.executable, "-m", "support.worker"]


class WorkerProcess:
    """A worker process. `ready` waits until it works. It is killed at the end of the test."""

    def __init__(self, settings, name, *, program=WORKER, stderr=None, **environment):
        """`program` is a command, or the server to fork from. `stderr` is a file for its error output."""
        self.name = name
        named = {**as_environment(settings), "CALLSHEET_WORKER_NAME": name, **environment}
        variables = {**os.environ, "PYTHONPATH": python_path(), **named}
        if isinstance(program, ForkServer):
            self.process = program.start(variables, stderr=stderr)
            return
        self.process = subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, env=variables
        )

    def ready(self, seconds=60):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(seconds), f"{self.name} was not ready in {seconds} s"
        line = self.process.stdout.readline()
        assert line.startswith("ready "), f"{self.name} ended: {self.process.wait(10)}"
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        self.process.stdout.close()


def as_environment(settings):
    """Return these settings as environment variables."""
    values = settings.model_dump(mode="json", exclude_unset=True)
    values["database_url"] = settings.database_url.get_secret_value()
    return {f"CALLSHEET_{name.upper()}": str(value) for name, value in values.items()}
