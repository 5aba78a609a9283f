"""How far a run of FFmpeg is, told as the progress of a job."""

from collections.abc import Callable

from callsheet.media.ffmpeg.progress import FFmpegProgress
from callsheet.operation.contract import Context


def progress_callback(job: Context, start: float = 0.0, end: float = 0.99) -> Callable[[float], None]:
    """Return what takes the progress of a run that is the part of the job from `start` to `end`.

    With it go the speed and the time left, where they are known. The end of a job is told by its success, after the
    output was checked.
    """

    def tell(share: float) -> None:
        job.progress(start + (end - start) * share, share.summary if isinstance(share, FFmpegProgress) else None)

    return tell
