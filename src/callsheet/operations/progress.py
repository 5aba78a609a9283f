"""Report the progress of an FFmpeg run as the progress of a job."""

from collections.abc import Callable

from callsheet.media.ffmpeg.progress import FFmpegProgress
from callsheet.operation_api.contract import Context


def progress_callback(job: Context, start: float = 0.0, end: float = 0.99) -> Callable[[float], None]:
    """Return a callback for an FFmpeg run that is the part of the job from `start` to `end`.

    It also reports speed and remaining time, if they are known. `end` is below 1, because a job is complete only after
    its output is verified.
    """

    def report(share: float) -> None:
        job.progress(start + (end - start) * share, share.summary if isinstance(share, FFmpegProgress) else None)

    return report
