"""Client of the probe process, which parses untrusted files apart from this process (see `prober`)."""

import asyncio
import atexit
import json
import os
import select
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.inputs import MAX_PIXELS, MEDIA_FORMATS, demuxer_options
from callsheet.media.ffmpeg.sandbox import Sandbox, check_sandbox, is_sandboxed
from callsheet.media.probing.truncation import has_exact_header
from callsheet.processes.child import child_environment

_TIMEOUT = 15.0
"""Seconds for one file, and a margin for each part of its size."""
_BYTES_PER_SECOND = 50 * 2**20
"""Some formats are read as a whole. A disk is rarely slower than this."""

_PROBER = Path(__file__).with_name("prober.py")


class MediaNotSupported(FFmpegFailed):
    """The file may be valid, but its format or its frame size is not accepted."""


class ProbeProcess:
    """A child process that probes files, one at a time.

    It starts with the first request and stays alive until the interpreter exits, since starting it takes longer than
    probing a file. A file that crashes it, or exceeds the timeout, ends it; the next request starts a new one.
    """

    def __init__(self, sandbox: Sandbox = "auto") -> None:
        """`sandbox` is the setting FFMPEG_SANDBOX.

        Raises ConfigurationError if a sandbox is required and the kernel has none.
        """
        check_sandbox(sandbox)
        self._sandbox = sandbox
        self._process: subprocess.Popen[bytes] | None = None
        self.pending = 0
        """Number of requests that wait or are in progress."""
        # One thread: requests wait in its queue, and only it reads from and writes to the process.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="probe")
        atexit.register(self.close)

    async def read(self, path: Path, *, to_end: bool = False) -> dict[str, Any]:
        """Return the facts about a file, as `prober` writes them. With `to_end`, its end is read, too.

        Raises MediaNotSupported for media that is not accepted, FFmpegFailed if the file cannot be read as media,
        crashes the process or exceeds the timeout. On cancellation the process is killed, unless the request was still
        in the queue.
        """
        pending = self._thread.submit(self._request, path, to_end)
        self.pending += 1
        try:
            return await asyncio.wrap_future(pending)
        except asyncio.CancelledError:
            if not pending.cancelled():
                self.kill()
            raise
        finally:
            self.pending -= 1

    def kill(self) -> None:
        """Kill the process. A request in progress fails as if the file had crashed it."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Kill the process, wait for its end and close its pipes."""
        self.kill()
        process, self._process = self._process, None
        if process is not None:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    assert pipe is not None  # noqa: S101 - both are pipes
                    pipe.close()

    def _request(self, path: Path, to_end: bool) -> dict[str, Any]:
        timeout = _TIMEOUT + path.stat().st_size / _BYTES_PER_SECOND
        request = {
            "path": str(path.absolute()),
            "to_end": to_end,
            "options": demuxer_options(path),
            "trusted": has_exact_header(path),
            "seconds": round(timeout) + 5,
        }
        response: dict[str, Any] = json.loads(self._exchange(json.dumps(request).encode() + b"\n", path, timeout))
        if "error" in response:
            kind = MediaNotSupported if response.get("unsupported") else FFmpegFailed
            raise kind(f"'{path.name}' cannot be read as media: {response['error']}")
        return response

    def _exchange(self, request: bytes, path: Path, timeout: float) -> bytes:
        process = self._running_process()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
        deadline = time.monotonic() + timeout
        response = bytearray()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            while not response.endswith(b"\n"):
                if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    self.close()
                    raise FFmpegFailed(f"'{path.name}' is not usable as media: reading it took over {timeout:.3g} s")
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise BrokenPipeError
                response += chunk
        except BrokenPipeError:
            self.close()
            raise FFmpegFailed(f"'{path.name}' crashes the decoder; it is not usable as media") from None
        return bytes(response)

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        # The process enters its sandbox itself. A `preexec_fn` would run Python between fork and exec, and release the
        # objects of other threads: a decoder among them waits forever for threads that the child does not have.
        sandbox = "sandboxed" if is_sandboxed(self._sandbox) else "open"
        self._process = subprocess.Popen(
            # -P: modules in the folder of the script must not hide modules of the same name elsewhere.
            [sys.executable, "-P", str(_PROBER), MEDIA_FORMATS, str(MAX_PIXELS), sandbox],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            bufsize=0,
            start_new_session=True,
        )
        return self._process
