"""FFmpeg's complaints in words that help."""

import re
from collections.abc import Iterable
from pathlib import PurePath

from callsheet.domain.errors import DiskFull, JobError, MediaFailed, Transient

_KNOWN: tuple[tuple[str, type[JobError], str], ...] = (
    ("No space left on device", DiskFull, "no space left on the device"),
    ("Disk quota exceeded", DiskFull, "the disk quota is used up"),
    ("Cannot allocate memory", Transient, "there was not enough memory"),
    ("moov atom not found", MediaFailed, "the file is incomplete: its index is missing. Upload it again"),
    ("partial file", MediaFailed, "the file is incomplete: it ends too early. Upload it again"),
    ("matches no streams", MediaFailed, "an input lacks the picture or sound that is needed from it"),
    ("not divisible by 2", MediaFailed, "width and height must be even"),
    ("Picture size", MediaFailed, "the picture is too large to be decoded safely"),
    ("not on whitelist", MediaFailed, "this kind of file is not accepted as media"),
    ("not in whitelist", MediaFailed, "this kind of file is not accepted as media"),
    ("Unknown encoder", MediaFailed, "this FFmpeg lacks the encoder. Set FFMPEG_PATH to a fuller build"),
    ("Unknown decoder", MediaFailed, "this FFmpeg lacks the decoder. Set FFMPEG_PATH to a fuller build"),
    ("No such filter", MediaFailed, "this FFmpeg lacks a filter. Set FFMPEG_PATH to a fuller build"),
    ("libva", MediaFailed, "VAAPI finds no driver, so it cannot encode"),
    ("No VA display found", MediaFailed, "VAAPI finds no GPU, so it cannot encode"),
    ("Error creating a MFX session", MediaFailed, "QSV finds no Intel GPU, so it cannot encode"),
    ("Cannot load libcuda", MediaFailed, "the NVIDIA driver is missing, so NVENC cannot encode"),
    ("OpenEncodeSessionEx failed", MediaFailed, "the GPU has no free NVENC session"),
    ("Only VP8 or VP9 or AV1", MediaFailed, "WebM holds only VP8, VP9 or AV1 pictures"),
    ("fontselect: failed", MediaFailed, "no usable font was found, so text cannot be drawn"),
    ("Invalid data found", MediaFailed, "the file is damaged, or is not what its name says"),
    ("No such file or directory", MediaFailed, "an input file is missing"),
    ("Permission denied", MediaFailed, "a file may not be read or written"),
)

_SIGNALS: dict[int, tuple[type[JobError], str]] = {
    -9: (Transient, "the system killed FFmpeg, most likely because memory ran out"),
    -24: (MediaFailed, "FFmpeg used more processor time than it may"),
    -25: (MediaFailed, "the output grew beyond the largest size allowed"),
    -11: (MediaFailed, "FFmpeg crashed; the file is probably damaged"),
}

_CONTEXT = re.compile(r"^(?:\[[^\]]*\]\s*)+")
_PATH = re.compile(r"(?:file:)?(?:/[^\s/:'\"]+)+/?")
_NOISE = ("Last message repeated", "deprecated pixel format", "Guessed Channel Layout")
_FAILURE = re.compile(r"error|fail|invalid|cannot|could not|unable|no such|unknown|not |refused", re.IGNORECASE)


def explain(code: int, stderr: str, args: Iterable[str] = ()) -> JobError:
    """Return the error for a run that ended with `code`; `args` tell which paths to take out of the texts."""
    lines = [line for line in map(str.strip, stderr.splitlines()) if line and not _is_noise(line)]
    facts = {"exit_code": code, "stderr": _tail(stderr, args)}
    for text, kind, words in _KNOWN:
        found = next((line for line in lines if text in line), None)
        if found is not None:
            return kind(f"FFmpeg stopped: {words} ({_clean(found, args)})", **facts)
    if code in _SIGNALS:
        kind, words = _SIGNALS[code]
        return kind(f"FFmpeg stopped: {words}", **facts)
    last_resort = lines[0] if lines else f"exit status {code}"
    told = next((line for line in lines if _FAILURE.search(line)), last_resort)
    return MediaFailed(f"FFmpeg stopped: {_clean(told, args)}", **facts)


def _is_noise(line: str) -> bool:
    return any(noise in line for noise in _NOISE)


def _tail(stderr: str, args: Iterable[str]) -> str:
    return "\n".join(_clean(line, args) for line in stderr.splitlines()[-20:])


def _clean(line: str, args: Iterable[str]) -> str:
    """Take out the addresses of FFmpeg's objects, and every folder."""
    line = _CONTEXT.sub("", line.strip())
    for arg in args:
        path = arg.removeprefix("file:")
        if "/" in path and path in line:
            line = line.replace(f"file:{path}", path).replace(path, PurePath(path).name)
    line = _PATH.sub(lambda match: PurePath(match[0]).name, line)
    return line if len(line) <= 300 else line[:299] + "…"
