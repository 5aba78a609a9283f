"""Transcode presets: parameters by purpose of the video."""

from typing import Any, Literal

Purpose = Literal["web", "archive", "preview", "tiktok", "reels", "shorts", "stories", "feed", "square"]

# Upload recommendations of TikTok, Instagram and YouTube, as of November 2026: MP4 with the index at the front,
# H.264 in 4:2:0 with closed GOPs, 23 to 60 frames per second, at most 25 Mbit/s, stereo AAC at 48 kHz. Feeds show
# at most 4:5. The platforms encode uploads again, so the upload has a high quality.
_SOCIAL: dict[str, Any] = {
    "format": "mp4",
    "video_codec": "h264",
    "quality": "high",
    "max_bitrate": 20_000_000,
    "max_fps": 60,
    "depth": 8,
    "hdr": "tone_map",
    "audio_codec": "aac",
    "audio_bitrate": 192_000,
    "audio_channels": 2,
    "fit": "contain_blur",
    "width": 1080,
}

PURPOSES: dict[Purpose, dict[str, Any]] = {
    "web": {
        "format": "mp4",
        "video_codec": "h264",
        "quality": "medium",
        "resolution": "1080p",
        "upscale": False,
        "max_fps": 60,
        "depth": 8,
        "hdr": "tone_map",
        "audio_codec": "aac",
        "audio_bitrate": 128_000,
        "audio_channels": 2,
    },
    "archive": {
        "format": "mkv",
        "video_codec": "h265",
        "quality": "best",
        "preset": "slow",
        "audio_codec": "flac",
        "audio_channels": 6,
    },
    "preview": {
        "format": "mp4",
        "video_codec": "h264",
        "quality": "low",
        "preset": "veryfast",
        "resolution": "360p",
        "upscale": False,
        "max_fps": 30,
        "depth": 8,
        "hdr": "tone_map",
        "audio_codec": "aac",
        "audio_bitrate": 64_000,
        "audio_channels": 2,
    },
    "tiktok": {**_SOCIAL, "height": 1920},
    "reels": {**_SOCIAL, "height": 1920},
    "shorts": {**_SOCIAL, "height": 1920},
    "stories": {**_SOCIAL, "height": 1920},
    "feed": {**_SOCIAL, "height": 1350},
    "square": {**_SOCIAL, "height": 1080},
}
"""Default parameters of each purpose. An explicit parameter of the same name overrides its default."""
