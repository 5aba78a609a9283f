"""What a media file is, read from its contents."""

import asyncio
import atexit
import json
import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.color_matrix import SD_HEIGHT
from callsheet.media.ffmpeg.inputs import MAX_PIXELS, MEDIA_FORMATS
from callsheet.media.probing.streams import Chapter, Stream, read_chapters, read_stream, read_tags
from callsheet.media.values import read_rate
from callsheet.processes.child import plain_environment

_PATIENCE = 15.0
"""Seconds for one file."""

_PROBER = Path(__file__).with_name("prober.py")

_UNTOLD = 2
_HDR_TRANSFERS = frozenset({16, 18})
"""SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG), by their numbers in ITU-T H.273."""
_SOUND_OVERHANG = 0.25
_WITHOUT_INDEX = frozenset({"mpegts", "mpeg"})
_USUAL_GROUP = 300
"""Frames; encoders set a key frame at least every 250, where nobody tells them otherwise."""
_USUAL_RATE = 30


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A media file with what a filter graph needs to know of it beyond its probe."""

    path: Path
    probe: Probe
    still: bool = False
    """A picture without a length of its own."""
    hdr: bool = False
    interlaced: bool = False
    """Whether each frame holds two moments in alternate lines."""
    matrix: str | None = None
    """The colour matrix that players assume, where the file does not tell its own."""
    picture_seconds: float | None = None
    """Length of the picture, which may differ from that of the sound."""
    picture_headers: str | None = None
    """A digest of what a decoder of the picture is set up by; pictures can be joined only where it is equal."""
    picture_index: int | None = None
    """Which of the streams is the picture."""
    longest_group: int = _USUAL_GROUP
    """Frames from one key frame to the next; counted only where it matters (see `frames.with_groups`)."""
    streams: tuple[Stream, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    """Without those that tell where, by whom or by what device the file was made."""

    @property
    def rate(self) -> Fraction:
        """Frames per second to show it at: its own, or 30 where it tells none that a film can have."""
        try:
            return read_rate(self.probe.fps or _USUAL_RATE)
        except ValueError:  # of pictures hours apart, or of thousands a second
            return Fraction(_USUAL_RATE)

    @property
    def lacks_index(self) -> bool:
        """Whether FFmpeg finds a time in it, but not the key frame before."""
        return self.probe.format in _WITHOUT_INDEX

    @property
    def picture(self) -> Stream | None:
        """The stream that is seen."""
        return next((each for each in self.streams if each.index == self.picture_index), None)

    @property
    def start(self) -> float:
        """Seconds that its own clock shows at its beginning: in transport streams, any."""
        starts = [each.start for each in self.streams if each.type in ("video", "audio") and not each.cover]
        return min(starts, default=0.0)

    @property
    def decoder(self) -> str | None:
        """The decoder that has to be named, since the one that FFmpeg takes by itself loses what is transparent."""
        transparent = (self.probe.pixel_format or "").startswith("yuva")
        return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(self.probe.video_codec or "") if transparent else None

    @property
    def lead(self) -> float:
        """Seconds after the beginning of the file at which its picture begins; 0 without a picture."""
        return 0.0 if self.picture is None else self.begin_of(self.picture)

    def begin_of(self, stream: Stream) -> float:
        """Return how many seconds after the beginning of the file one of its streams begins."""
        return max(0.0, stream.start - self.start)

    @property
    def sounds(self) -> tuple[Stream, ...]:
        """The sound tracks."""
        return tuple(each for each in self.streams if each.type == "audio")

    @property
    def has_picture(self) -> bool:
        """Whether there is anything to see."""
        return self.probe.width is not None

    @property
    def length(self) -> float:
        """Seconds it plays. The picture counts, except where the sound goes on for long after it."""
        whole = self.probe.duration or 0.0
        picture = self.picture_seconds or whole
        return picture if abs(whole - picture) < _SOUND_OVERHANG else whole

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound track, even a silent one."""
        return self.probe.audio_codec is not None


async def probe(path: Path) -> Probe:
    """Return what the file is. Its contents decide, never its name.

    Raises FFmpegFailed when it cannot be read as media, FileNotFoundError when it is not there.
    """
    return (await probe_details(path)).probe


async def probe_if_media(path: Path) -> Probe | None:
    """Return what the file is, or None when it cannot be read as media."""
    try:
        return await probe(path)
    except FFmpegFailed:
        return None


async def probe_details(path: Path) -> MediaInfo:
    """Return what the file is, with what it takes to show it rightly. Raises as `probe` does."""
    try:
        facts = await asyncio.to_thread(path.stat)
    except FileNotFoundError:
        raise
    except OSError as error:  # a loop of links, a folder that may not be entered
        raise FFmpegFailed(f"'{path.name}' cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe or a device may never end
        raise FFmpegFailed(f"'{path.name}' is not a file")
    if facts.st_size == 0:
        raise FFmpegFailed(f"'{path.name}' is empty")
    waiting = _turns.submit(_reader.ask, path)
    try:
        return await asyncio.wrap_future(waiting)
    except asyncio.CancelledError:
        if not waiting.cancelled():
            _reader.stop()
        raise


def _footage(path: Path, answer: dict[str, Any]) -> MediaInfo:
    probe, picture = Probe.model_validate(answer["probe"]), answer["picture"]
    streams = tuple(read_stream(each) for each in answer["streams"])
    chapters, tags = read_chapters(answer["chapters"]), read_tags(answer["tags"])
    if picture is None:
        return MediaInfo(path, probe, streams=streams, chapters=chapters, tags=tags)
    untold = picture["matrix"] == _UNTOLD and not picture["still"]
    assumed = "bt709" if (probe.height or 0) > SD_HEIGHT else "bt601"
    return MediaInfo(
        path,
        probe,
        still=picture["still"],
        hdr=picture["transfer"] in _HDR_TRANSFERS,
        interlaced=picture["interlaced"],
        matrix=assumed if untold else None,
        picture_seconds=picture["seconds"] or probe.duration,
        picture_headers=picture["headers"],
        picture_index=picture["index"],
        streams=streams,
        chapters=chapters,
        tags=tags,
    )


class _Reader:
    """A process that reads files for us: started when first needed, again when a file was too much for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path) -> MediaInfo:
        """Blocks until there is an answer; called in one thread only."""
        answer = json.loads(self._exchange(json.dumps(str(path.absolute())).encode() + b"\n", path.name))
        if "error" in answer:
            raise FFmpegFailed(f"'{path.name}' cannot be read as media: {answer['error']}")
        return _footage(path, answer)

    def stop(self) -> None:
        """End the process; whoever waits for its answer is told that it crashed."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and let go of it."""
        self.stop()
        process, self._process = self._process, None
        if process is not None:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    assert pipe is not None  # noqa: S101 - both were asked for
                    pipe.close()

    def _exchange(self, question: bytes, name: str) -> bytes:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both were asked for
        deadline = time.monotonic() + _PATIENCE
        answer = bytearray()
        try:
            process.stdin.write(question)
            process.stdin.flush()
            while not answer.endswith(b"\n"):
                if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    self.close()
                    raise FFmpegFailed(f"'{name}' is not usable as media: reading it took over {_PATIENCE:g} s")
                piece = os.read(process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise BrokenPipeError
                answer += piece
        except BrokenPipeError:
            self.close()
            raise FFmpegFailed(f"'{name}' crashes the decoder; it is not usable as media") from None
        return bytes(answer)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            # -P: the folder of the script holds names such as `graph` that must not hide other modules.
            [sys.executable, "-P", str(_PROBER), MEDIA_FORMATS, str(MAX_PIXELS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=plain_environment(),
            bufsize=0,
            start_new_session=True,
        )
        return self._process


_reader = _Reader()
_turns = ThreadPoolExecutor(max_workers=1, thread_name_prefix="probe")
atexit.register(_reader.close)
