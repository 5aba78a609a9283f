"""Map FFmpeg's stderr and exit status to error messages with a remedy."""

import re
from collections.abc import Iterable
from pathlib import PurePath

from callsheet.domain.errors import DiskFull, FFmpegFailed, JobError, Transient

_UPLOAD_AGAIN = "Upload it again"
_FULLER_BUILD = "Set FFMPEG_PATH to a fuller build"
_FEWER_JOBS = "The job is retried. If it fails again, run fewer jobs at once"

_KNOWN: tuple[tuple[str, type[JobError], str], ...] = (
    ("No space left on device", DiskFull, "no space left on the device. Free some, or set WORK_DIR to a larger disk"),
    ("Disk quota exceeded", DiskFull, "the disk quota is used up. Free some space, or set WORK_DIR to another disk"),
    ("Cannot allocate memory", Transient, f"there was not enough memory. {_FEWER_JOBS}"),
    ("moov atom not found", FFmpegFailed, f"the file is incomplete: its index is missing. {_UPLOAD_AGAIN}"),
    ("partial file", FFmpegFailed, f"the file is incomplete: it ends too early. {_UPLOAD_AGAIN}"),
    ("EBML header parsing failed", FFmpegFailed, f"the file is damaged at its start. {_UPLOAD_AGAIN}"),
    ("exceeds max_streams", FFmpegFailed, "the file has too many streams. Remove those that are not needed"),
    ("matches no streams", FFmpegFailed, "an input lacks a required video or audio stream"),
    ("not divisible by 2", FFmpegFailed, "width and height must be even"),
    ("Picture size", FFmpegFailed, "the image is too large to be decoded safely. Make it smaller"),
    ("not on whitelist", FFmpegFailed, "this kind of file is not accepted as media. Convert it to MP4, MP3 or PNG"),
    ("not in whitelist", FFmpegFailed, "this kind of file is not accepted as media. Convert it to MP4, MP3 or PNG"),
    ("Unknown encoder", FFmpegFailed, f"this FFmpeg lacks the encoder. {_FULLER_BUILD}"),
    ("Unknown decoder", FFmpegFailed, f"this FFmpeg lacks the decoder. {_FULLER_BUILD}"),
    ("Decoder not found", FFmpegFailed, f"this FFmpeg lacks the decoder. {_FULLER_BUILD}"),
    ("No such filter", FFmpegFailed, f"this FFmpeg lacks a filter. {_FULLER_BUILD}"),
    ("libva", FFmpegFailed, "VAAPI cannot encode: no driver was found"),
    ("No VA display found", FFmpegFailed, "VAAPI cannot encode: no GPU was found"),
    ("Error creating a MFX session", FFmpegFailed, "QSV cannot encode: no Intel GPU was found"),
    ("Cannot load libcuda", FFmpegFailed, "NVENC cannot encode: the NVIDIA driver is missing"),
    ("OpenEncodeSessionEx failed", FFmpegFailed, "NVENC cannot encode: the GPU has no free session"),
    (
        "Only VP8 or VP9 or AV1",
        FFmpegFailed,
        "WebM supports only VP8, VP9 and AV1 video. Choose another format or codec",
    ),
    ("codec not currently supported in container", FFmpegFailed, "the container does not support this codec"),
    ("fontselect: failed", FFmpegFailed, "no usable font was found, so text cannot be drawn"),
    ("File too large", FFmpegFailed, "the output grew beyond FFMPEG_MAX_OUTPUT. Make it shorter or smaller"),
    ("Invalid data found", FFmpegFailed, f"the file is damaged, or its name has the wrong extension. {_UPLOAD_AGAIN}"),
    ("No such file or directory", FFmpegFailed, "an input file is missing"),
    (
        "Permission denied",
        FFmpegFailed,
        "permission to read or write a file was denied; files outside of the job's folder must be named to the sandbox",
    ),
    (
        "maybe incorrect parameters such as",
        FFmpegFailed,
        "the encoder rejected its settings or the frame size",
    ),
    # FFmpeg 5 reports it as an error of input and output, too.
    ("could not choose their formats", FFmpegFailed, "this version of FFmpeg cannot connect two of its filters"),
    ("Input/output error", Transient, "a disk or network share did not respond. The job is retried"),
)

_SIGNALS: dict[int, tuple[type[JobError], str]] = {
    -9: (Transient, f"the system killed FFmpeg, probably because memory ran out. {_FEWER_JOBS}"),
    -24: (FFmpegFailed, "FFmpeg exceeded its CPU time limit"),
    -25: (FFmpegFailed, "the output grew beyond FFMPEG_MAX_OUTPUT. Make it shorter or smaller"),
    -11: (FFmpegFailed, f"FFmpeg crashed; the file is probably damaged. {_UPLOAD_AGAIN}"),
    -6: (FFmpegFailed, f"FFmpeg crashed; the file is probably damaged. {_UPLOAD_AGAIN}"),
}

# From FFmpeg 6 on, the exit status is an error number (256 + AVERROR). Older versions always exit with 1.
_STATUSES: dict[int, tuple[type[JobError], str]] = {
    228: (DiskFull, "no space left on the device. Free some, or set WORK_DIR to a larger disk"),
    244: (Transient, f"there was not enough memory. {_FEWER_JOBS}"),
    229: (FFmpegFailed, "the output grew beyond FFMPEG_MAX_OUTPUT. Make it shorter or smaller"),
    183: (FFmpegFailed, f"the file is damaged, or its name has the wrong extension. {_UPLOAD_AGAIN}"),
    187: (FFmpegFailed, "the encoder rejected its settings or the frames"),
    69: (FFmpegFailed, f"most of the file could not be decoded. {_UPLOAD_AGAIN}"),
    254: (FFmpegFailed, "an input file is missing"),
}

_CONTEXT = re.compile(r"^(?:\[[^\]]*\]\s*)+")
_PATH = re.compile(r"(?:file:)?(?:/[^\s/:'\"]+)+/?")
_NOISE = (
    *("Svt[info]", "Svt[warn]", "Last message repeated", "deprecated pixel format", "Guessed Channel Layout"),
    *("No writable cache directories", "/.cache/fontconfig"),
)
_FAILURE = re.compile(r"error|fail|invalid|cannot|could not|unable|no such|unknown|not |refused", re.IGNORECASE)


def explain(code: int, stderr: str, args: Iterable[str] = ()) -> JobError:
    """Return the error for a run that exited with `code`.

    `args` is the command line of the run: the folders of its paths are removed from the message.
    """
    lines = [line for line in map(str.strip, stderr.splitlines()) if line and not _is_noise(line)]
    facts = {"exit_code": code, "stderr": _tail(stderr, args)}
    for text, kind, message in _KNOWN:
        found = next((line for line in lines if text in line), None)
        if found is not None:
            return kind(f"FFmpeg stopped: {message} ({_clean(found, args)})", **facts)
    cause = next((line for line in lines if _FAILURE.search(line)), lines[0] if lines else "")
    for known in (_SIGNALS, _STATUSES):
        if code in known:
            kind, message = known[code]
            detail = f" ({_clean(cause, args)})" if cause else ""
            return kind(f"FFmpeg stopped: {message}{detail}", **facts)
    return FFmpegFailed(f"FFmpeg stopped: {_clean(cause, args) or f'exit status {code}'}", **facts)


def _is_noise(line: str) -> bool:
    return any(noise in line for noise in _NOISE)


def _tail(stderr: str, args: Iterable[str]) -> str:
    return "\n".join(_clean(line, args) for line in stderr.splitlines()[-20:])


def _clean(line: str, args: Iterable[str]) -> str:
    """Remove the memory addresses of FFmpeg's log contexts, and all folders."""
    line = _CONTEXT.sub("", line.strip())
    for arg in args:
        path = arg.removeprefix("file:")
        if "/" in path and path in line:
            line = line.replace(f"file:{path}", path).replace(path, PurePath(path).name)
    line = _PATH.sub(lambda match: PurePath(match[0]).name, line)
    return line if len(line) <= 300 else line[:299] + "…"
