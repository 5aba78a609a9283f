"""What a video is for, as parameters."""

from typing import Any, Literal

Purpose = Literal["web", "archive", "preview", "tiktok", "reels", "shorts", "stories", "feed", "square"]

# What TikTok, Instagram and YouTube tell uploaders to send, seen in November 2026: MP4 with the index in front,
# H.264 in 4:2:0, a closed group of pictures, 23 to 60 frames per second, at most 25 Mbit/s, AAC in stereo at
# 48 kHz. Feeds show 4:5 at most. They encode what they get once more, so it goes there at a high quality.
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
"""Each value gives way to the parameter of its name."""
