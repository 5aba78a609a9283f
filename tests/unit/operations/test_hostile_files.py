"""Every operation that takes media, given files that mean harm: a clear error, soon, and nothing else happens."""

import http.server
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from media.hostile import SECRET, make_corpus
from media.studio import Stage, Studio

from callsheet.domain.errors import BadInput, CallsheetError, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.media.probing import probe as probing
from callsheet.operation.catalog import discover

GOOD = "<good>"
BAD = "<bad>"

# For each way in: the operation, and params in which BAD is the hostile file and GOOD an honest one.
WAYS_IN: dict[str, tuple[str, dict[str, Any]]] = {
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
LIAR = "two pictures ten hours apart, a length of a second told"
"""What reads no further than the length it tells may succeed."""
KINDS = (
    *("index missing", "only the head", "text", "noise", "empty", "zip"),
    *("a sample count beyond all bounds", "a box beyond all bounds"),
    *("HLS, a file beside it", "HLS, a file by its path", "HLS, a secret file", "HLS, an address"),
    *("HLS named as a film", "HLS within HLS", "HLS, joined by a protocol", "DASH, an address", "DASH named as a film"),
    *("XML with an entity", "ffconcat, a file beside it", "ffconcat named as a film", "ffconcat, an address"),
    *("SDP", "SVG, an address", "SVG named as a picture", "a script of Avisynth", "M3U"),
    *("a picture of 12000 by 12000", "a GIF of 65535 by 65535", "two pictures ten hours apart"),
    *(LIAR, "150 tracks"),
    *("a pipe", "a folder", "a link to itself", "a link to an endless device", "a link to the passwords"),
)
SOON = 12.0
"""Seconds, on a machine that has much else to do."""
MEMORY = 700 * 2**20
"""Bytes that all children together may use."""


@dataclass
class Harm:
    """What hostile files have achieved."""

    visits: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture(scope="module")
def harm() -> Iterator[Harm]:
    done = Harm()

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            done.visits.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        done.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield done
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def corpus(studio: Studio, harm: Harm, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_corpus(studio, tmp_path_factory.mktemp("hostile"), harm.url)


@pytest.fixture(scope="module")
def good(studio: Studio) -> Path:
    return studio.clip("good.mp4", "testsrc2=size=64x64:rate=30", seconds=1, sound="sine=frequency=300")


class Sampled:
    """The most memory that all children used together, looked at while the block runs."""

    def __enter__(self) -> "Sampled":
        self.most, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            used = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    used += child.memory_info().rss
                except psutil.Error:
                    continue
            self.most = max(self.most, used)


def filled(params: Any, bad: Path, good: Path) -> Any:
    text = json.dumps(params)
    return json.loads(
        text.replace(json.dumps(BAD), json.dumps(str(bad))).replace(json.dumps(GOOD), json.dumps(str(good)))
    )


@pytest.mark.parametrize("way", WAYS_IN)
async def test_a_hostile_file_ends_in_a_clear_error(
    stage: Stage, corpus: dict[str, Path], good: Path, harm: Harm, way: str
):
    name, params = WAYS_IN[way]
    operation = discover()[name]
    wrong: list[str] = []
    with Sampled() as memory:
        for kind in KINDS:
            bad = corpus[kind]
            begun = time.monotonic()
            try:
                await operation.run(stage, validate_params(filled(params, bad, good), operation.params))
                if not (kind == LIAR and await is_as_long_as_told(stage)):
                    wrong.append(f"{kind}: no error")
            except (FFmpegFailed, BadInput) as error:
                wrong += [f"{kind}: {remark}" for remark in _unclear(error, bad)]
            if time.monotonic() - begun > SOON:
                wrong.append(f"{kind}: took {time.monotonic() - begun:.1f} s")
    assert wrong == []
    assert harm.visits == []
    assert memory.most < MEMORY
    assert not any(path.suffix != ".w64" and SECRET.encode() in path.read_bytes() for path in stage.dir.rglob("*.*"))


def test_the_tricks_work_where_nothing_stands_in_their_way(studio: Studio, corpus: dict[str, Path], harm: Harm):
    def opens(kind: str, *words: str) -> bool:
        command = [str(studio.binary), "-v", "error", "-nostdin", *words, "-i", str(corpus[kind]), "-f", "null", "-"]
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0

    anything = ["-protocol_whitelist", "file,http,tcp", "-allowed_extensions", "ALL"]
    assert opens("ffconcat, a file beside it", "-f", "concat")
    assert opens("two pictures ten hours apart", "-t", "1")
    opens("HLS, an address", *anything)
    assert "/hls.ts" in harm.visits
    harm.visits.clear()


async def is_as_long_as_told(stage: Stage) -> bool:
    """Whether what was made takes no more of the file than it told of: a second, beside a second of the good one."""
    lengths = [(await probing.probe_details(path)).probe.duration or 0 for path in stage.kept]
    return max(lengths, default=0) < 3


def _unclear(error: Exception, bad: Path) -> Iterator[str]:
    if not isinstance(error, CallsheetError):
        yield f"{type(error).__name__}: {error}"
    said = str(error) + str(getattr(error, "facts", ""))
    if len(str(error)) < 15:
        yield f"'{error}' tells nothing"
    if SECRET in said or str(bad.parent) in said:
        yield f"tells too much: {said}"
    if re.search(r"0x[0-9a-f]{6}|Traceback", said):
        yield f"tells of machinery: {said}"


# Some kinds are harmless where only what is whole of them is used.

DAMAGED_FILMS = {
    "transcode": {"src": BAD, "width": 32},
    "finish": {"video": BAD, "width": 36},
    "render": {"scenes": [BAD], "output": {"width": 36, "height": 64}},
    "concat": {"sources": [GOOD, BAD]},
    "mux": {"video": BAD, "audio": GOOD},
    "extract-audio": {"src": BAD, "format": "wav"},
    "split": {"src": BAD, "count": 2},
}


@pytest.mark.parametrize("name", DAMAGED_FILMS)
async def test_a_film_that_breaks_off_makes_no_shorter_film(stage: Stage, studio: Studio, good: Path, name: str):
    front = studio.make("whole.mp4", "-i", str(good), "-c", "copy", "-movflags", "+faststart")
    torn = torn_copy(front, stage.dir / "torn.mp4")
    operation = discover()[name]

    with pytest.raises(FFmpegFailed):
        await operation.run(stage, validate_params(filled(DAMAGED_FILMS[name], torn, good), operation.params))
    assert stage.kept == []


def torn_copy(whole: Path, torn: Path) -> Path:
    data = whole.read_bytes()
    torn.write_bytes(data[: len(data) * 6 // 10])
    return torn


async def test_the_reader_of_files_lives_on(corpus: dict[str, Path], good: Path):
    for kind in KINDS:
        await probing.probe_if_media(corpus[kind])

    assert (await probing.probe(good)).frames == 30
