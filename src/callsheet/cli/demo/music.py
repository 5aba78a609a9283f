"""The operation `demo-music`: a short piece of music, synthesized by FFmpeg."""

from datetime import timedelta

from pydantic import Field

from callsheet.cli.demo import score
from callsheet.domain.artifacts import Artifact
from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context, operation


class Params(Model):
    """Duration of the music, which fades out at the end."""

    duration: float = Field(score.BAR * score.BARS, ge=2, le=score.BAR * score.BARS + score.TAIL, description="Seconds")


class Result(Model):
    """The finished music."""

    audio: Artifact


@operation("demo-music", needs={"ffmpeg"}, timeout=timedelta(minutes=1))
async def demo_music(job: Context, params: Params) -> Result:
    """Synthesize eight bars of plucked strings, bells and a soft pad."""
    output = job.dir / "music.flac"
    args = ["-filter_complex", score.graph(params.duration), "-map", "[music]"]
    await job.ffmpeg.run([*args, "-c:a", "flac", f"file:{output}"], duration=params.duration, on_progress=job.progress)
    return Result(audio=await job.keep(output))
