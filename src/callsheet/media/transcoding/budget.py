"""Bit rates for a file with a target size."""

from dataclasses import replace

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan

_MIN_BITS_PER_PIXEL = 0.005
_MIN_VIDEO_BITRATE = 16_000
_MAX_AUDIO_SHARE = 0.15
_MIN_AUDIO_BITRATE = {"mono": 24_000, "stereo": 32_000, "5.1": 96_000}
_SAFETY_FACTOR = 0.98
"""Share of the target that is planned for. Encoders miss their bit rate slightly."""
_INDEX_BYTES_PER_FRAME = 16
"""Container overhead of each video and audio frame."""
_AUDIO_FRAMES_PER_SECOND = 50


def fit_to_target_size(plan: TranscodePlan, *, fixed_audio: bool) -> TranscodePlan:
    """Return the plan with bit rates that keep its only output within the target size.

    `fixed_audio`: the client set the audio bit rate, so it does not change. A plan without a target size and a stream
    copy are returned unchanged.

    Raises BadParams if the target leaves too few bits for a usable video.
    """
    if plan.target_size is None or plan.copies_video:
        return plan
    seconds = max(plan.duration, 1 / plan.fps)
    frames = plan.fps + (_AUDIO_FRAMES_PER_SECOND if plan.audio else 0)
    total = plan.target_size * 8 * _SAFETY_FACTOR / seconds - frames * _INDEX_BYTES_PER_FRAME * 8
    audio = plan.audio if fixed_audio or not isinstance(plan.audio, AudioEncoding) else _reduce_audio(plan.audio, total)
    available = total - (audio.bitrate or 0 if isinstance(audio, AudioEncoding) else 0)
    rendition = plan.renditions[0]
    minimum = max(_MIN_VIDEO_BITRATE, rendition.width * rendition.height * plan.fps * _MIN_BITS_PER_PIXEL)
    if available < minimum:
        raise BadParams([Problem("targetSize", "too_small", _too_small_message(plan, available, minimum))])
    bitrate = int(min(available, max(minimum, _max_useful_bitrate(plan))))
    settings = replace(rendition.settings, quality=None, bitrate=bitrate, max_bitrate=None)
    return replace(plan, renditions=(replace(rendition, settings=settings),), audio=audio)


def lower_bitrate(plan: TranscodePlan, size: int) -> TranscodePlan:
    """Return the plan with a lower video bit rate, after an output of `size` bytes exceeded the target size."""
    assert plan.target_size is not None  # noqa: S101 - an output can exceed only a target
    rendition = plan.renditions[0]
    bitrate = rendition.settings.bitrate or 0
    audio = plan.audio.bitrate or 0 if isinstance(plan.audio, AudioEncoding) else 0
    seconds = max(plan.duration, 1 / plan.fps)
    used = max(1.0, size * 8 / seconds - audio)
    allowed = max(0.0, plan.target_size * 8 * _SAFETY_FACTOR / seconds - audio)
    settings = replace(rendition.settings, bitrate=max(1000, int(bitrate * min(0.95, 0.97 * allowed / used))))
    return replace(plan, renditions=(replace(rendition, settings=settings),))


def _max_useful_bitrate(plan: TranscodePlan) -> float:
    """Return twice the bit rate of the source, scaled to the output size. More bits improve nothing."""
    source, rendition = plan.source.probe, plan.renditions[0]
    if source.bit_rate is None:
        return float("inf")
    pixel_ratio = rendition.width * rendition.height / max(1, (source.width or 0) * (source.height or 0))
    return 2 * source.bit_rate * min(1.0, pixel_ratio)


def _reduce_audio(audio: AudioEncoding, total: float) -> AudioEncoding:
    limit = max(_MIN_AUDIO_BITRATE[audio.channels], int(total * _MAX_AUDIO_SHARE))
    return replace(audio, bitrate=min(audio.bitrate or limit, limit))


def _too_small_message(plan: TranscodePlan, available: float, minimum: float) -> str:
    rendition = plan.renditions[0]
    assert plan.target_size is not None  # noqa: S101 - it is too small
    needed = plan.target_size + (minimum - available) * plan.duration / 8 / _SAFETY_FACTOR
    return (
        f"{plan.target_size / 1e6:.3g} MB is too small for {plan.duration:.4g} s of "
        f"{rendition.width}x{rendition.height}: at least about {needed / 1e6:.3g} MB is needed. "
        "Use a larger target size or a smaller resolution"
    )
