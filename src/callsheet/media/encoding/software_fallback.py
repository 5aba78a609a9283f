"""The fallback from a hardware encoder (NVENC, QSV, VAAPI, VideoToolbox) that failed in a job to a software encoder."""

from dataclasses import replace

from callsheet.media.encoding import hardware
from callsheet.media.encoding.encoders import Encoder, software_encoder
from callsheet.media.ffmpeg.binary import capabilities
from callsheet.media.ffmpeg.runner import FFmpeg


async def software_fallback(ffmpeg: FFmpeg, encoder: Encoder, reason: str) -> Encoder:
    """Return the software encoder for the same settings, with a note, after a hardware encoder failed in a job.

    The hardware encoder is not selected again for a while. Raises FFmpegFailed if no encoder of the codec is available.
    """
    hardware.mark_failed(ffmpeg, encoder.name, encoder.pixel_format, reason)
    found = software_encoder(encoder.settings, (await capabilities(ffmpeg.binary)).encoders)
    return replace(found, note=f"encoded again by {found.name}, because {encoder.name} failed: {reason}")
