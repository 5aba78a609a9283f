"""Hostile files as inputs of every media operation: a clear error, soon, and no side effect."""

import http.server
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from media.hostile import SECRET, make_corpus
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadInput, BadParams, CallsheetError, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.media.probing import probe as probing
from callsheet.operation_api.catalog import discover

GOOD = "<good>"
BAD = "<bad>"

# For each input: the operation, and params in which BAD is the hostile file and GOOD a valid one.
INPUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "probe": ("probe", {"src": BAD, "loudness": True, "countFrames": True}),
    "transcode": ("transcode", {"src": BAD, "width": 32}),
    "preview": ("preview", {"src": BAD, "count": 2}),
    "finish": ("finish", {"video": BAD, "width": 36}),
    "render": ("render", {"scenes": [GOOD, BAD], "output": {"width": 36, "height": 64}}),
    "render, soundtrack": ("render", {"scenes": [GOOD], "soundtrack": BAD, "output": {"width": 36, "height": 64}}),
    "concat": ("concat", {"sources": [GOOD, BAD]}),
    "mux": ("mux", {"video": BAD, "audio": GOOD}),
    "mux, sound": ("mux", {"video": GOOD, "audio": BAD}),
    "mux, subtitles": ("mux", {"video": GOOD, "subtitles": BAD}),
    "extract-audio": ("extract-audio", {"src": BAD, "format": "wav"}),
    "split": ("split", {"src": BAD, "count": 2}),
    "caption": ("caption", {"src": BAD, "language": "en", "model": "tiny"}),
}
WRONG_DURATION = "two frames ten hours apart, with a stated duration of a second"
"""An operation that reads no further than the stated duration may succeed."""
KINDS = (
    *("index missing", "only the head", "text", "noise", "empty", "zip"),
    *("a huge sample count", "a huge box"),
    *("HLS, a file beside it", "HLS, a file by its path", "HLS, a secret file", "HLS, a URL"),
    *("HLS named as a video", "HLS within HLS", "HLS, joined by a protocol", "DASH, a URL", "DASH named as a video"),
    *("XML with an entity", "ffconcat, a file beside it", "ffconcat named as a video", "ffconcat, a URL"),
    *("SDP", "SVG, a URL", "SVG named as an image", "an Avisynth script", "M3U"),
    *("an image of 12000 by 12000", "a GIF of 65535 by 65535", "two frames ten hours apart"),
    *(WRONG_DURATION, "150 streams"),
    *("a pipe", "a folder", "a link to itself", "a link to an endless device", "a link to the passwords"),
)
MAX_SECONDS = 12.0
"""Per operation, on a busy machine."""
MAX_MEMORY = 700 * 2**20
"""Bytes of all child processes together, beyond those that they used before."""


@dataclass
class Requests:
    """The requests of hostile files to a local HTTP server."""

    paths: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture(scope="module")
def requests() -> Iterator[Requests]:
    received = Requests()

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.paths.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield received
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def corpus(studio: Studio, requests: Requests, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_corpus(studio, tmp_path_factory.mktemp("hostile"), requests.url)


@pytest.fixture(scope="module")
def good(studio: Studio) -> Path:
    return studio.clip("good.mp4", "testsrc2=size=64x64:rate=30", seconds=1, sound="sine=frequency=300")


class MemorySampler:
    """Samples the memory of all child processes while the block runs; `peak` is the largest increase in bytes.

    Servers of other tests are child processes, too. Their memory at the start of the block does not count.
    """

    def __enter__(self) -> "MemorySampler":
        self.peak, self._before, self._stopped = 0, _memory_of_children(), threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stopped.wait(0.05):
            now = _memory_of_children()
            self.peak = max(self.peak, sum(max(0, used - self._before.get(pid, 0)) for pid, used in now.items()))


def _memory_of_children() -> dict[int, int]:
    """Return the resident bytes of all child processes by process id."""
    used = {}
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            used[child.pid] = child.memory_info().rss
    return used


def fill(params: Any, bad: Path, good: Path) -> Any:
    text = json.dumps(params)
    return json.loads(
        text.replace(json.dumps(BAD), json.dumps(str(bad))).replace(json.dumps(GOOD), json.dumps(str(good)))
    )


@pytest.mark.parametrize("name", INPUTS)
async def test_a_hostile_file_ends_in_a_clear_error(
    stage: FakeContext, corpus: dict[str, Path], good: Path, requests: Requests, name: str
):
    operation_name, params = INPUTS[name]
    operation = discover()[operation_name]
    wrong: list[str] = []
    with MemorySampler() as memory:
        for kind in KINDS:
            bad = corpus[kind]
            started = time.monotonic()
            try:
                await operation.run(stage, validate_params(fill(params, bad, good), operation.params))
                if not (kind == WRONG_DURATION and await has_the_stated_duration(stage)):
                    wrong.append(f"{kind}: no error")
            except (FFmpegFailed, BadInput) as error:
                wrong += [f"{kind}: {remark}" for remark in _unclear(error, bad)]
            if time.monotonic() - started > MAX_SECONDS:
                wrong.append(f"{kind}: took {time.monotonic() - started:.1f} s")
    assert wrong == []
    assert requests.paths == []
    assert memory.peak < MAX_MEMORY
    assert not any(path.suffix != ".w64" and SECRET.encode() in path.read_bytes() for path in stage.dir.rglob("*.*"))


def test_the_playlists_work_without_protection(studio: Studio, corpus: dict[str, Path], requests: Requests):
    def opens(kind: str, *args: str) -> bool:
        command = [str(studio.binary), "-v", "error", "-nostdin", *args, "-i", str(corpus[kind]), "-f", "null", "-"]
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0

    unprotected = ["-protocol_whitelist", "file,http,tcp", "-allowed_extensions", "ALL"]
    assert opens("ffconcat, a file beside it", "-f", "concat")
    assert opens("two frames ten hours apart", "-t", "1")
    opens("HLS, a URL", *unprotected)
    assert "/hls.ts" in requests.paths
    requests.paths.clear()


async def has_the_stated_duration(stage: FakeContext) -> bool:
    """Return whether the output has the stated second of the file, besides a second of the good one."""
    lengths = [(await probing.probe_details(path)).probe.duration or 0 for path in stage.kept]
    return max(lengths, default=0) < 3


def _unclear(error: Exception, bad: Path) -> Iterator[str]:
    if not isinstance(error, CallsheetError):
        yield f"{type(error).__name__}: {error}"
    text = str(error) + str(getattr(error, "facts", ""))
    if len(str(error)) < 15:
        yield f"'{error}' is too short"
    if SECRET in text or str(bad.parent) in text:
        yield f"reveals a path or the secret: {text}"
    if re.search(r"0x[0-9a-f]{6}|Traceback", text):
        yield f"reveals internals: {text}"


# With `strict`, a truncated file is an error, even if its first part could be used.

TRUNCATED_INPUTS = {
    "transcode": {"src": BAD, "width": 32},
    "finish": {"video": BAD, "width": 36},
    "render": {"scenes": [BAD], "output": {"width": 36, "height": 64}},
    "concat": {"sources": [GOOD, BAD]},
    "mux": {"video": BAD, "audio": GOOD},
    "extract-audio": {"src": BAD, "format": "wav"},
    "split": {"src": BAD, "count": 2},
}


@pytest.mark.parametrize("name", TRUNCATED_INPUTS)
async def test_a_truncated_video_makes_no_shorter_video(stage: FakeContext, studio: Studio, good: Path, name: str):
    front = studio.make("whole.mp4", "-i", str(good), "-c", "copy", "-movflags", "+faststart")
    truncated = truncated_copy(front, stage.dir / "truncated.mp4")
    operation = discover()[name]

    params = {**fill(TRUNCATED_INPUTS[name], truncated, good), "strict": True}
    with pytest.raises(BadParams, match="cut off"):
        await operation.run(stage, validate_params(params, operation.params))
    assert stage.kept == []


def truncated_copy(whole: Path, truncated: Path) -> Path:
    data = whole.read_bytes()
    truncated.write_bytes(data[: len(data) * 6 // 10])
    return truncated


async def test_the_probe_process_works_after_hostile_files(corpus: dict[str, Path], good: Path):
    for kind in KINDS:
        await probing.probe_if_media(corpus[kind])

    assert (await probing.probe(good)).frames == 30
