"""Protocol of the preview scripts: a JSON argument in, JSON lines on stdout out.

A script writes `{"done": 0.5}` as progress, and finally its result or `{"error": "…", "disk_full": false}`.
"""

import errno
import json
import sys
from collections.abc import Callable
from typing import Any

import av
from av.container import InputContainer

from callsheet.media.thumbnails.preview_requests import SourceFile

_MIN_STEP = 0.01


def send(message: dict[str, Any]) -> None:
    """Write one JSON line and flush it."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def run_request(handler: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Call the handler with the request in the first argument, and send its result or its error."""
    try:
        send(handler(json.loads(sys.argv[1])))
    except (av.FFmpegError, MemoryError, ValueError, OSError) as error:
        disk_full = getattr(error, "errno", None) == errno.ENOSPC
        message = getattr(error, "strerror", None) or str(error) or type(error).__name__
        send({"error": message, "disk_full": disk_full})


def open_source(source: SourceFile) -> InputContainer:
    """Open a media file with its restrictions. Raises av.FFmpegError if it is no media file."""
    return av.open(f"file:{source.path}", format=source.demuxer, options=source.options, metadata_errors="replace")


class ProgressReporter:
    """Sends progress from 0 to 1. It never decreases, and is sent in steps of at least 1 %."""

    def __init__(self) -> None:
        self._reported = -1.0

    def __call__(self, done: float) -> None:
        """Send the progress if it increased by a step."""
        if done >= min(1.0, self._reported + _MIN_STEP):
            self._reported = done
            send({"done": done})
