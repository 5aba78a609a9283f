"""Bit rates for a file that must stay within a size."""

from dataclasses import replace

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan

_LEAST_PER_PIXEL = 0.005
_LEAST_PICTURE = 16_000
_SHARE_OF_SOUND = 0.15
_LEAST_SOUND = {"mono": 24_000, "stereo": 32_000, "5.1": 96_000}
_AIM = 0.98
"""Encoders miss their bit rate by a little."""
_BYTES_PER_SAMPLE = 16
"""What an index takes for each frame of picture and sound."""
_SOUND_FRAMES = 50


def fit_to_target_size(plan: TranscodePlan, *, fixed_sound: bool) -> TranscodePlan:
    """Return the plan with the bit rates by which its only output stays within the target.

    `fixed_sound`: the bit rate of the sound was asked for.

    Raises BadParams when no picture worth the name fits in.
    """
    if plan.target is None or plan.copies_picture:
        return plan
    seconds = max(plan.seconds, 1 / plan.fps)
    frames = plan.fps + (_SOUND_FRAMES if plan.sound else 0)
    whole = plan.target * 8 * _AIM / seconds - frames * _BYTES_PER_SAMPLE * 8
    sound = plan.sound if fixed_sound or not isinstance(plan.sound, AudioEncoding) else _modest(plan.sound, whole)
    spent = sound.bitrate or 0 if isinstance(sound, AudioEncoding) else 0
    left = whole - spent
    picture = plan.renditions[0]
    least = max(_LEAST_PICTURE, picture.width * picture.height * plan.fps * _LEAST_PER_PIXEL)
    if left < least:
        raise BadParams([Problem("targetSize", "too_small", _too_small(plan, left, least))])
    wish = replace(picture.settings, quality=None, bitrate=int(min(left, max(least, _useful(plan)))), max_bitrate=None)
    return replace(plan, renditions=(replace(picture, settings=wish),), sound=sound)


def _useful(plan: TranscodePlan) -> float:
    """Return the bits per second beyond which an output is filled with nothing: twice what the source has."""
    found, picture = plan.source.probe, plan.renditions[0]
    if found.bit_rate is None:
        return float("inf")
    share = picture.width * picture.height / max(1, (found.width or 0) * (found.height or 0))
    return 2 * found.bit_rate * min(1.0, share)


def lowered(plan: TranscodePlan, size: int) -> TranscodePlan:
    """Return the plan with a bit rate that makes up for an output of `size` bytes, which was too large."""
    assert plan.target is not None  # noqa: S101 - without a target nothing is too large
    picture = plan.renditions[0]
    rate = picture.settings.bitrate or 0
    sound = plan.sound.bitrate or 0 if isinstance(plan.sound, AudioEncoding) else 0
    spent = max(1.0, size * 8 / max(plan.seconds, 1 / plan.fps) - sound)
    allowed = max(0.0, plan.target * 8 * _AIM / max(plan.seconds, 1 / plan.fps) - sound)
    wish = replace(picture.settings, bitrate=max(1000, int(rate * min(0.95, 0.97 * allowed / spent))))
    return replace(plan, renditions=(replace(picture, settings=wish),))


def _modest(sound: AudioEncoding, whole: float) -> AudioEncoding:
    most = max(_LEAST_SOUND[sound.channels], int(whole * _SHARE_OF_SOUND))
    return replace(sound, bitrate=min(sound.bitrate or most, most))


def _too_small(plan: TranscodePlan, left: float, least: float) -> str:
    picture = plan.renditions[0]
    assert plan.target is not None  # noqa: S101 - it was too small
    needed = plan.target + (least - left) * plan.seconds / 8 / _AIM
    return (
        f"{plan.target / 1e6:.3g} MB are too few for {plan.seconds:.4g} s of {picture.width}x{picture.height}: "
        f"that takes about {needed / 1e6:.3g} MB at least. Ask for more, or for a smaller resolution"
    )
